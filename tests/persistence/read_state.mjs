// Written from docs/formats.md alone: what does a reader in another language make of a saved state?
// node read_state.mjs PATH … prints, for each file, {path of array: "dtype [shape] sha256 of its bytes"} as JSON.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const check = (bytes, digest, what) => {
  if (digest.length === 64 && sha256(bytes) !== digest) throw new Error(`${what}: not what was written`);
  return bytes;
};

// JSON with the text of every number kept: doubles would lose long integers and the spelling of floats.
class Number_ { constructor(text) { this.text = text; } }
function parse(text) {
  const token = /\s*("(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[[\]{}:,])\s*/y;
  const next = () => token.exec(text)[1];
  const value = (word) => {
    if (word === "{" || word === "[") {
      const close = word === "{" ? "}" : "]", found = word === "{" ? new Map() : [];
      for (let one = next(); one !== close; one = next()) {
        if (one === ",") one = next();
        if (word === "[") { found.push(value(one)); continue; }
        next();
        found.set(JSON.parse(one), value(next()));
      }
      return found;
    }
    return /^[-\d]/.test(word) ? new Number_(word) : JSON.parse(word);
  };
  return value(next());
}
const ascii = (text) =>
  JSON.stringify(text).replace(/[^ -~]/g, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
const points = (text) => [...text].map((c) => String.fromCharCode(c.codePointAt(0) >> 12, c.codePointAt(0) & 4095)).join("");
const byPoint = (a, b) => (points(a) < points(b) ? -1 : 1);
function canonical(value) {
  if (value instanceof Number_) return value.text;
  if (value instanceof Map) {
    const keys = [...value.keys()].sort(byPoint);
    return "{" + keys.map((key) => ascii(key) + ":" + canonical(value.get(key))).join(",") + "}";
  }
  if (Array.isArray(value)) return "[" + value.map(canonical).join(",") + "]";
  return typeof value === "string" ? ascii(value) : String(value);
}

// Numbers of `data` as bytes, by way of doubles.
const WIDTH = { F64: 8, F32: 4, F16: 2, BF16: 2, F8_E5M2: 1, F8_E4M3: 1, I64: 8, I32: 4, I16: 2, I8: 1 };
Object.assign(WIDTH, { U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1 });
const NAN = { F64: "7ff8000000000000", F32: "7fc00000", F16: "7e00", BF16: "7fc0", F8_E5M2: "7e", F8_E4M3: "7f" };
const SMALL = { F16: [5, 10], F8_E5M2: [5, 2], F8_E4M3: [4, 3] }; // bits of exponent and fraction
function smallFloats(dtype) {
  const [e, f] = SMALL[dtype], bias = 2 ** (e - 1) - 1, table = new Map();
  for (let bits = 0; bits < 2 ** (e + f); bits++) {
    const exponent = bits >> f, fraction = bits % 2 ** f, last = exponent === 2 ** e - 1;
    if (last && (dtype !== "F8_E4M3" || fraction === 7)) {
      if (fraction === 0) table.set("Infinity", bits);
      continue;
    }
    const size = exponent ? (1 + fraction / 2 ** f) * 2 ** (exponent - bias) : (fraction / 2 ** f) * 2 ** (1 - bias);
    table.set(String(size), bits);
  }
  return table;
}
function bytesOf(dtype, data) {
  const numbers = Array.isArray(data) ? data.flat(Infinity) : [data], width = WIDTH[dtype];
  const bytes = Buffer.alloc(numbers.length * width), view = new DataView(bytes.buffer, bytes.byteOffset);
  const table = dtype in SMALL ? smallFloats(dtype) : null;
  const put = (at, bits) => { for (let i = 0; i < width; i++) view.setUint8(at + i, Number((bits >> BigInt(8 * i)) & 255n)); };
  numbers.forEach((one, i) => {
    const at = i * width, text = one instanceof Number_ ? one.text : one;
    if (dtype === "BOOL") put(at, BigInt(text));
    else if ("IU".includes(dtype[0])) put(at, BigInt.asUintN(64, BigInt(text)));
    else if (text.startsWith("NaN")) put(at, BigInt("0x" + (text.slice(4) || NAN[dtype])));
    else if (dtype === "F64") view.setFloat64(at, Number(text), true);
    else if (dtype === "F32") view.setFloat32(at, Number(text), true);
    else if (dtype === "BF16") {
      const wide = new DataView(new ArrayBuffer(4));
      wide.setFloat32(0, Number(text));
      view.setUint16(at, wide.getUint16(0), true);
    } else {
      const sign = text.startsWith("-") ? 1 << (8 * width - 1) : 0;
      put(at, BigInt(table.get(String(Math.abs(Number(text)))) | sign));
    }
  });
  return bytes;
}

const said = (dtype, shape, bytes) => `${dtype} [${shape.map((n) => n.text).join(", ")}] ${sha256(bytes)}`;
function readSingle(data) {
  const start = 8 + Number(data.readBigUInt64LE()), header = parse(data.toString("utf8", 8, start));
  const about = header.get("__metadata__"), found = {};
  const blank = Buffer.from(data.subarray(0, start)).fill("0", 35, 99);
  check(blank, about.get("sha256"), "header");
  const digests = parse(about.get("digests"));
  header.delete("__metadata__");
  for (const [path, one] of header) {
    const [from, to] = one.get("data_offsets").map((n) => start + Number(n.text));
    const bytes = check(data.subarray(from, to), digests.get(path), path);
    if (path !== "$state") found[path] = said(one.get("dtype"), one.get("shape"), bytes);
  }
  return found;
}
function readText(document) {
  const tensors = [...document.get("tensors")];
  for (const layer of document.get("layers") ?? [])
    for (const one of layer.get("tensors").values()) tensors.push([one.get("path"), one]);
  const found = {};
  for (const [path, one] of tensors) {
    const coded = one.get("b64");
    const bytes = coded === undefined ? bytesOf(one.get("dtype"), one.get("data")) : Buffer.from(coded, "base64");
    found[path] = said(one.get("dtype"), one.get("shape"), bytes);
    one.delete("b64"), one.delete("data");
  }
  const digest = document.get("sha256");
  document.delete("sha256");
  check(Buffer.from(canonical(document)), digest, "document");
  return found;
}
function readVersion(document, path) {
  const manifest = document.get("manifest"), found = {};
  check(Buffer.from(canonical(manifest)), document.get("sha256"), "manifest");
  const objects = manifest.get("objects").map(([name]) =>
    check(readFileSync(join(dirname(dirname(path)), "objects", name)), name.split(".")[0], name));
  for (const [place, one] of manifest.get("arrays")) {
    const shape = one.get("shape").map((n) => Number(n.text)), rows = Number(one.get("rows").text);
    let left = shape.reduce((a, b) => a * b, 1) * WIDTH[one.get("dtype")];
    const full = rows ? (left / shape[0]) * rows : left;
    const pieces = one.get("segments").map(([object, offset]) => {
      const from = Number(offset.text), size = Math.min(full, left);
      left -= size;
      return objects[Number(object.text)].subarray(from, from + size);
    });
    found[place] = said(one.get("dtype"), one.get("shape"), Buffer.concat(pieces));
  }
  return found;
}

const all = process.argv.slice(2).map((path) => {
  const data = readFileSync(path);
  if (data[0] !== 0x7b) return readSingle(data);
  const document = parse(data.toString("utf8"));
  return document.has("manifest") ? readVersion(document, path) : readText(document);
});
console.log(JSON.stringify(all));
