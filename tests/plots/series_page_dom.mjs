// Runs the script of a page against the least of a browser: node series_page_dom.mjs PAGE ACTION… prints JSON.
import { readFileSync } from "node:fs";

const page = readFileSync(process.argv[2], "utf8");
const data = page.match(/<script type=application\/json id=data>(.*?)<\/script>/s)[1];
const script = page.match(/<script>(.*)<\/script>/s)[1];
const elements = {}, frames = [];

function pen() {
  const drawn = { texts: [], strokes: 0, bad: 0 };
  const number = (...all) => { if (!all.every(Number.isFinite)) drawn.bad += 1; };
  return {
    drawn, save() {}, restore() {}, beginPath() {}, clip() {}, setTransform() {}, setLineDash() {},
    moveTo: number, lineTo: number, rect: number, fillRect: number, strokeRect: number,
    stroke() { drawn.strokes += 1; }, clearRect() { drawn.texts = []; drawn.strokes = 0; },
    fillText(text, x, y) { number(x, y); drawn.texts.push(text); },
  };
}
function element(id) {
  if (!elements[id]) {
    const heard = {}, own = pen();
    elements[id] = {
      heard, own, style: {}, dataset: {}, textContent: id === "data" ? data : "", classList: { add() {}, remove() {} },
      offsetWidth: 200, offsetHeight: 100, parentElement: { clientWidth: 900 }, getContext: () => own,
      addEventListener(type, act) { (heard[type] ??= []).push(act); }, setPointerCapture() {},
      getBoundingClientRect: () => ({ left: 0, top: 0 }),
    };
  }
  return elements[id];
}
Object.assign(globalThis, {
  document: { getElementById: element, documentElement: {}, querySelectorAll: () => [] },
  getComputedStyle: () => ({ getPropertyValue: () => "#123456" }),
  matchMedia: () => ({ addEventListener() {} }), addEventListener() {}, innerWidth: 1200, innerHeight: 900,
  requestAnimationFrame: (act) => frames.push(act),
});
const rest = () => { while (frames.length) frames.shift()(); };
const fire = (id, type, event) => {
  for (const act of element(id).heard[type] || []) act({ preventDefault() {}, pointerId: 1, clientY: 50, ...event });
  rest();
};
(0, eval)(script);
rest();
for (const action of process.argv.slice(3)) {
  const [kind, a, b] = action.split(":");
  if (kind === "key") fire("panels", "keydown", { key: a });
  if (kind === "point") fire("panels", "pointermove", { clientX: Number(a) });
  if (kind === "wheel") fire("panels", "wheel", { deltaX: 0, deltaY: Number(a), clientX: Number(b) });
  if (kind === "drag") {
    fire("panels", "pointerdown", { clientX: Number(a) });
    fire("panels", "pointermove", { clientX: Number(b) });
    fire("panels", "pointerup", {});
  }
  if (kind === "strip") {
    fire("strip", "pointerdown", { clientX: Number(a) });
    fire("strip", "pointerup", {});
  }
  if (kind === "press") fire(a, "click", {});
  if (kind === "tick") fire(a, "change", { target: { checked: b === "on" } });
}
const { texts, strokes, bad } = element("panels").own.drawn;
console.log(JSON.stringify({
  texts, strokes, bad: bad + element("strip").own.drawn.bad, read: element("read").textContent,
  said: element("said").textContent,
}));
