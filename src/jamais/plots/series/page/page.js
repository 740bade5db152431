// How does a person look round in a scored series? Zoom, pan, point, jump; nothing is loaded from anywhere.
"use strict";
(() => {
const byId = (id) => document.getElementById(id);
const D = JSON.parse(byId("data").textContent);
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const f64 = (text) => new Float64Array(bytes(text).buffer);
const f32 = (text) => new Float32Array(bytes(text).buffer);
const first = f64(D.first), last = f64(D.last), scoreHigh = f32(D.scoreHigh), scoreLow = f32(D.scoreLow);
const pValue = f32(D.p), breaks = bytes(D.breaks), abnormal = bytes(D.abnormal);
const n = first.length;
const channels = D.channels.map((one) => {
  const open = (text) => Float64Array.from(f32(text), (away) => one.base + away);
  return { name: one.name, low: open(one.low), high: open(one.high), named: new Set() };
});
D.segments.forEach((s, i) => s.blame.forEach(([c, share], at) => {
  if (channels[c] && (share >= D.guilty || !at)) channels[c].named.add(i);
}));

const panels = byId("panels"), strip = byId("strip"), read = byId("read");
const LEFT = 62, RIGHT = 12, PANEL = 92, SCORE = 132, HEAD = 20, AXIS = 34, TRUTH = 16, STRIP = 46;
const A = n ? first[0] : 0, B = n ? Math.max(last[n - 1], A + D.step) : 1;
const least = Math.min(B - A, 8 * D.step);
const state = { a: A, b: B, at: null, chosen: D.shown.slice(), on: -1, fit: true, follow: true, log: D.log, width: 900 };
let asked = false, colour = {};

function colours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["back", "text", "soft", "grid", "edge", "line", "score", "alarm", "shade", "truth", "brush"])
    colour[name] = style.getPropertyValue("--" + name).trim();
}
const x = (place) => LEFT + ((place - state.a) / (state.b - state.a)) * (state.width - LEFT - RIGHT);
const placeAt = (px) => state.a + ((px - LEFT) / (state.width - LEFT - RIGHT)) * (state.b - state.a);

// The bucket in which a place lies, or the last one that begins before it.
function bucket(place) {
  let low = 0, high = n - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (first[middle] <= place) low = middle; else high = middle - 1;
  }
  return low;
}

// ---- words and figures ----
const pad = (number, digits) => String(number).padStart(digits, "0");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const date = (place) => new Date((D.origin + place) / 1000);
const day = (d) => `${d.getUTCFullYear()}-${pad(d.getUTCMonth() + 1, 2)}-${pad(d.getUTCDate(), 2)}`;
const clock = (d) => `${pad(d.getUTCHours(), 2)}:${pad(d.getUTCMinutes(), 2)}:${pad(d.getUTCSeconds(), 2)}` +
  (d.getUTCMilliseconds() ? "." + pad(d.getUTCMilliseconds(), 3) : "");
const grouped = (number) => String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, ",");
function moment(place) {
  if (!D.timed) return "row " + grouped(D.origin + place);
  const d = date(place);
  return `${day(d)} ${clock(d)}`;
}
function figure(value) {
  if (!Number.isFinite(value)) return "missing";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e7 || size < 1e-3)) return value.toExponential(2);
  return size >= 1e4 ? grouped(value).replace("-,", "-") : String(Number(value.toPrecision(4)));
}
const rare = (p) => (!Number.isFinite(p) ? "unknown" : p < 1e-3 ? p.toExponential(0) : String(Number(p.toPrecision(2))));

// ---- ticks ----
function nice(low, high, most) {
  let found = niceAt(low, high, most);
  for (let more = most + 1; found.ticks.length < 2 && more < most + 4; more++) found = niceAt(low, high, more);
  return found;
}
function niceAt(low, high, most) {
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= rough) || 10 * power;
  const ticks = [];
  for (let k = Math.ceil(low / step); k * step <= high + step * 1e-9; k++) ticks.push(k * step);
  return { ticks, digits: Math.max(0, Math.min(12, -Math.floor(Math.log10(step) + 1e-9))) };
}
// Labels that differ where ticks do: of small changes of a large value, all but the first say by how much.
function labels(ticks, digits) {
  const most = Math.max(...ticks.map(Math.abs), 0), step = ticks.length > 1 ? ticks[1] - ticks[0] : most || 1;
  if (most !== 0 && most < 1e-3) return ticks.map((tick) => (tick === 0 ? "0" : Number(tick.toPrecision(3)).toExponential()));
  const [unit, name] = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]].find(([from]) => most >= from) || [1, ""];
  const size = name === "k" ? 1e3 : unit, places = Math.max(0, Math.ceil(Math.log10(size / step) - 1e-9));
  if (!name) return ticks.map((tick) => tick.toFixed(digits));
  if (places <= 3) return ticks.map((tick) => (tick / size).toFixed(places) + name);
  return ticks.map((tick, i) => (i ? "+" + (tick - ticks[0]).toFixed(digits) : (tick / size).toPrecision(4) + name));
}
const SECOND = 1e6, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const STEPS = [1, 10, 100, 1e3, 1e4, 1e5, SECOND, 5 * SECOND, 15 * SECOND, 30 * SECOND, MINUTE, 5 * MINUTE, 10 * MINUTE,
  30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 91 * DAY, 365 * DAY,
  1826 * DAY, 3652 * DAY, 18262 * DAY];
function placeTicks() {
  const most = Math.max(2, Math.floor((state.width - LEFT - RIGHT) / 105));
  if (!D.timed) {
    const { ticks } = nice(D.origin + state.a, D.origin + state.b, most);
    return ticks.map((row) => [row - D.origin, grouped(row), false]);
  }
  const step = STEPS.find((s) => (state.b - state.a) / s <= most) || STEPS[STEPS.length - 1];
  const ticks = [];
  for (let k = Math.ceil((D.origin + state.a) / step); k * step <= D.origin + state.b; k++) {
    const place = k * step - D.origin, d = date(place), midnight = (k * step) % DAY === 0;
    const named = `${d.getUTCDate()} ${MONTHS[d.getUTCMonth()]}`;
    const text = step >= 180 * DAY ? String(d.getUTCFullYear()) : step >= DAY || midnight ? named :
      step >= MINUTE ? clock(d).slice(0, 5) : clock(d);
    ticks.push([place, text, midnight && step < DAY]);
  }
  return ticks;
}

// ---- drawing ----
function sized(canvas, height) {
  const ratio = globalThis.devicePixelRatio || 1;
  const wide = Math.round(state.width * ratio), high = Math.round(height * ratio);
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
    canvas.style.height = height + "px";
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, state.width, height);
  return pen;
}
function write(pen, text, px, py, fill, align, font) {
  pen.fillStyle = fill;
  pen.textAlign = align || "left";
  pen.font = (font || "12px") + " system-ui, sans-serif";
  pen.fillText(text, px, py);
}
function clipped(pen, top, height, draw) {
  pen.save();
  pen.beginPath();
  pen.rect(LEFT, top, state.width - LEFT - RIGHT, height);
  pen.clip();
  draw();
  pen.restore();
}
function shade(pen, from, to, top, height, strength, name) {
  const half = D.step / 2, left = x(from - half), wide = Math.max(3, x(to + half) - left);
  if (left > state.width || left + wide < LEFT) return;
  pen.globalAlpha = strength;
  pen.fillStyle = colour[name];
  pen.fillRect(left, top, wide, height);
  pen.globalAlpha = 1;
}
// Single rows make a line; runs of rows make a block from the least to the largest value.
function trace(pen, low, high, y, i0, i1, stroke, only) {
  pen.strokeStyle = pen.fillStyle = stroke;
  pen.lineWidth = 1.25;
  pen.beginPath();
  let drawing = false;
  for (let i = i0; i <= i1; i++) {
    if (!Number.isFinite(low[i]) || (only && !only[i])) { drawing = false; continue; }
    const left = x(first[i]), top = y(high[i]), bottom = y(low[i]);
    if (breaks[i]) drawing = false;
    if (last[i] > first[i]) {
      const right = x(last[i]), middle = (top + bottom) / 2;
      pen.globalAlpha = right - left > 5 ? 0.5 : 1; // a range of several rows, not a value
      pen.fillRect(left, top - 0.5, Math.max(1, right - left), Math.max(1, bottom - top + 1));
      pen.globalAlpha = 1;
      if (drawing) pen.lineTo(left, middle); else pen.moveTo(left, middle);
      pen.moveTo(right, middle);
    } else {
      if (drawing) pen.lineTo(left, top); else pen.moveTo(left, top);
      const alone = only && !(i < n - 1 && only[i + 1]) && !(i > 0 && only[i - 1]);
      if (alone || !neighbour(low, i)) pen.fillRect(left - 1, top - 1, 2.5, 2.5);
    }
    drawing = true;
  }
  pen.stroke();
}
const neighbour = (low, i) => (i > 0 && Number.isFinite(low[i - 1]) && !breaks[i]) ||
  (i < n - 1 && Number.isFinite(low[i + 1]) && !breaks[i + 1]);

function extent(low, high, i0, i1) {
  let least = Infinity, most = -Infinity;
  for (let i = i0; i <= i1; i++) {
    if (low[i] < least) least = low[i];
    if (high[i] > most) most = high[i];
  }
  return [least, most];
}
function frame(pen, top, height, name, note) {
  write(pen, name, LEFT, top - 6, colour.text, "left", "600 12px");
  if (note) write(pen, note, state.width - RIGHT, top - 6, colour.soft, "right");
  pen.fillStyle = colour.edge;
  pen.fillRect(LEFT, top + height, state.width - LEFT - RIGHT, 1);
}
function levels(pen, scale, top, height, ticks, named) {
  for (const [i, tick] of ticks.entries()) {
    const py = Math.round(scale(tick)) + 0.5;
    if (py < top - 1 || py > top + height + 1) continue;
    pen.fillStyle = colour.grid;
    pen.fillRect(LEFT, py - 0.5, state.width - LEFT - RIGHT, 1);
    write(pen, named[i], LEFT - 7, py + 4, colour.soft, "right", "11px");
  }
}
function flags(test) {
  const marks = new Uint8Array(n);
  D.segments.forEach((s, i) => {
    if (test(i)) for (let k = bucket(s.from); k < n && first[k] <= s.to; k++) if (last[k] >= s.from) marks[k] = 1;
  });
  return marks;
}
channels.forEach((one) => { one.marks = one.named.size ? flags((i) => one.named.has(i)) : null; });

function drawChannel(pen, one, top, i0, i1) {
  const height = PANEL - HEAD;
  let [low, high] = state.fit ? extent(one.low, one.high, i0, i1) : extent(one.low, one.high, 0, n - 1);
  const known = low <= high;
  if (!known) [low, high] = [0, 1];
  const room = (high - low) * 0.08 || Math.abs(high) * 0.05 || 1;
  [low, high] = [low - room, high + room];
  const y = (value) => top + height - ((value - low) / (high - low)) * height;
  const { ticks, digits } = nice(low, high, 3);
  const note = state.at === null ? "" : valueAt(one);
  levels(pen, y, top, height, ticks, labels(ticks, digits));
  frame(pen, top, height, one.name, note);
  clipped(pen, top, height, () => {
    D.segments.forEach((s, i) => shade(pen, s.from, s.to, top, height, one.named.has(i) ? 0.2 : 0.07, "shade"));
    trace(pen, one.low, one.high, y, i0, i1, colour.line, null);
    if (one.marks) trace(pen, one.low, one.high, y, i0, i1, colour.alarm, one.marks);
    if (!known) write(pen, "no values here", (LEFT + state.width) / 2, top + height / 2, colour.soft, "center");
  });
}
function valueAt(one) {
  const i = bucket(state.at);
  if (!n || !Number.isFinite(one.low[i])) return "missing";
  return one.low[i] === one.high[i] ? figure(one.low[i]) : `${figure(one.low[i])} to ${figure(one.high[i])}`;
}
function scoreScale(top, height, i0, i1) {
  const [low, high] = state.fit ? extent(scoreLow, scoreHigh, i0, i1) : extent(scoreLow, scoreHigh, 0, n - 1);
  const most = 1.08 * Math.max(D.threshold, Number.isFinite(high) ? high : 1);
  if (!state.log) {
    const floor = Math.min(0, Number.isFinite(low) ? low : 0);
    return { y: (value) => top + height - ((value - floor) / (most - floor)) * height, ...nice(floor, most, 4) };
  }
  const floor = D.floor, decades = Math.log10(most / floor);
  const y = (value) => top + height - (Math.log10(Math.max(value, floor) / floor) / decades) * height;
  const ticks = [];
  const parts = decades < 2 ? [1, 2, 5] : [1];
  for (let k = Math.floor(Math.log10(floor)); 10 ** k <= most; k++)
    for (const part of parts) if (part * 10 ** k >= floor && part * 10 ** k <= most) ticks.push(part * 10 ** k);
  return { y, ticks, digits: 0 };
}
function drawScore(pen, top, i0, i1) {
  const height = SCORE - HEAD, { y, ticks, digits } = scoreScale(top, height, i0, i1);
  const i = state.at === null ? -1 : bucket(state.at);
  levels(pen, y, top, height, ticks, state.log ? ticks.map(figure) : labels(ticks, digits));
  frame(pen, top, height, "score: how unlike all that is remembered", i < 0 ? "" : figure(scoreHigh[i]));
  clipped(pen, top, height, () => {
    D.segments.forEach((s, k) => shade(pen, s.from, s.to, top, height, k === state.on ? 0.2 : 0.1, "shade"));
    trace(pen, scoreLow, scoreHigh, y, i0, i1, colour.score, null);
    trace(pen, scoreLow, scoreHigh, y, i0, i1, colour.alarm, abnormal);
    pen.strokeStyle = colour.alarm;
    pen.lineWidth = 1;
    pen.setLineDash([5, 4]);
    pen.beginPath();
    pen.moveTo(LEFT, y(D.threshold));
    pen.lineTo(state.width - RIGHT, y(D.threshold));
    pen.stroke();
    pen.setLineDash([]);
    write(pen, "threshold " + figure(D.threshold), state.width - RIGHT - 4, y(D.threshold) - 4, colour.alarm, "right", "11px");
  });
}
function drawAxis(pen, top) {
  for (const [place, text, strong] of placeTicks()) {
    const px = x(place);
    if (px < LEFT + 14 || px > state.width - RIGHT - 14) continue;
    pen.fillStyle = colour.edge;
    pen.fillRect(px, top, 1, 5);
    write(pen, text, px, top + 17, strong ? colour.text : colour.soft, "center", strong ? "600 11px" : "11px");
  }
  const whole = D.timed && state.b - state.a > 2 * MINUTE ? SECOND : 1;
  const [from, to] = [state.a, state.b].map((at) => moment(Math.round((D.origin + at) / whole) * whole - D.origin));
  write(pen, `${from} to ${to}${D.timed ? " UTC" : ""}`, state.width - RIGHT, top + 31, colour.soft, "right", "11px");
}
function draw() {
  asked = false;
  const shown = state.chosen.map((c) => channels[c]).filter(Boolean);
  const height = shown.length * PANEL + SCORE + AXIS + (D.truth.length ? TRUTH : 0);
  const pen = sized(panels, height);
  const i0 = Math.max(0, bucket(state.a) - 1), i1 = Math.min(n - 1, bucket(state.b) + 1);
  let top = HEAD;
  for (const one of shown) {
    drawChannel(pen, one, top, i0, i1);
    top += PANEL;
  }
  drawScore(pen, top, i0, i1);
  let bottom = top + SCORE - HEAD;
  if (D.truth.length) {
    clipped(pen, bottom, TRUTH, () => D.truth.forEach(([a, b]) => shade(pen, a, b, bottom + 5, 9, 1, "truth")));
    write(pen, "truth", LEFT - 7, bottom + 14, colour.soft, "right", "11px");
    bottom += TRUTH;
  }
  drawAxis(pen, bottom + 1);
  if (state.at !== null && state.at >= state.a && state.at <= state.b) {
    pen.fillStyle = colour.soft;
    pen.fillRect(Math.round(x(state.at)), HEAD, 1, bottom - HEAD);
  }
  drawStrip();
}
const typical = n > 1 ? (B - A) / n : 1;
const along = (place) => LEFT + ((place - A) / (B - A)) * (state.width - LEFT - RIGHT);
function drawStrip() {
  const pen = sized(strip, STRIP), high = extent(scoreLow, scoreHigh, 0, n - 1)[1], floor = D.floor;
  const most = Math.max(D.threshold, Number.isFinite(high) ? high : 1);
  const y = state.log ? (v) => STRIP - 3 - (Math.log10(Math.max(v, floor) / floor) / Math.log10(most / floor)) * (STRIP - 8)
    : (v) => STRIP - 3 - (Math.max(v, 0) / most) * (STRIP - 8);
  pen.fillStyle = colour.grid;
  pen.fillRect(LEFT, 0, state.width - LEFT - RIGHT, STRIP);
  pen.strokeStyle = colour.score;
  pen.lineWidth = 1;
  pen.beginPath();
  // The worst score of each pixel, so that stretches kept in detail look like the others.
  const tops = new Map();
  for (let i = 0; i < n; i++) {
    const px = Math.round(along(first[i]));
    if (Number.isFinite(scoreHigh[i])) tops.set(px, Math.max(scoreHigh[i], tops.has(px) ? tops.get(px) : -Infinity));
  }
  const reachOfOne = along(A + typical) - along(A);
  let before = -Infinity;
  for (const [px, score] of tops) {
    if (px - before <= 3 + reachOfOne) pen.lineTo(px, y(score)); else pen.moveTo(px, y(score));
    before = px;
  }
  pen.stroke();
  pen.fillStyle = colour.alarm;
  for (const s of D.segments) pen.fillRect(along(s.from) - 1, 0, Math.max(2.5, along(s.to) - along(s.from)), 5);
  const left = along(state.a), right = Math.max(along(state.b), left + 4);
  pen.globalAlpha = 0.55;
  pen.fillStyle = colour.back;
  pen.fillRect(LEFT, 0, left - LEFT, STRIP);
  pen.fillRect(right, 0, state.width - RIGHT - right, STRIP);
  pen.globalAlpha = 1;
  pen.strokeStyle = colour.brush;
  pen.lineWidth = 1.5;
  pen.strokeRect(left, 0.75, right - left, STRIP - 1.5);
  write(pen, "all", LEFT - 7, STRIP / 2 + 4, colour.soft, "right", "11px");
}
function ask() {
  if (!asked) { asked = true; requestAnimationFrame(draw); }
}

// ---- moving ----
function look(a, b) {
  let wide = Math.min(Math.max(b - a, least), B - A);
  a = Math.min(Math.max((a + b - wide) / 2, A), B - wide);
  [state.a, state.b] = [a, a + wide];
  ask();
}
const zoom = (factor, at) => look(at - (at - state.a) * factor, at + (state.b - at) * factor);
const middle = () => (state.a + state.b) / 2;
const pan = (share) => { const by = share * (state.b - state.a); look(state.a + by, state.b + by); };
function jump(i) {
  if (!D.segments.length) return;
  i = (i + D.segments.length) % D.segments.length;
  const s = D.segments[i], wide = Math.max(4 * (s.to - s.from), 120 * D.step);
  state.on = i;
  look((s.from + s.to - wide) / 2, (s.from + s.to + wide) / 2);
  if (state.follow) follow(s);
  byId("said").textContent = `segment ${s.rank} of ${D.segments.length}: ${s.told}`;
  document.querySelectorAll("#segments button").forEach((b) => {
    const on = Number(b.dataset.i) === i;
    b.classList.toggle("on", on);
    if (on && b.scrollIntoView) b.scrollIntoView({ block: "nearest" });
  });
}
// Show the channels that a segment comes from, then those that were shown, as many as at first.
function follow(s) {
  const guilty = s.blame.map(([c]) => c).filter((c) => c < channels.length);
  state.chosen = [...new Set([...guilty, ...state.chosen])].slice(0, Math.max(D.shown.length, 1));
  document.querySelectorAll("#channels input").forEach((box) => {
    box.checked = state.chosen.includes(Number(box.value));
  });
}
// Next and previous in time: from the segment that was jumped to, or from the middle of what is shown; round and round.
function beside(way) {
  const inOrder = D.segments.map((s, i) => i).sort((i, k) => way * (D.segments[i].from - D.segments[k].from));
  const whole = state.a <= A && state.b >= B, here = state.on >= 0 ? D.segments[state.on].from : middle();
  const beyond = inOrder.filter((i) => way * (D.segments[i].from - here) > 0);
  if (inOrder.length) jump((whole && state.on < 0) || !beyond.length ? inOrder[0] : beyond[0]);
}
function told(place) {
  const i = bucket(place), run = last[i] > first[i], zone = D.timed ? " UTC" : "";
  const lines = [moment(first[i]) + (run ? " to " + moment(last[i]) : "") + zone];
  if (Number.isFinite(scoreHigh[i])) {
    lines.push(`score ${figure(scoreHigh[i])}${run ? " at most" : ""}, p ${rare(pValue[i])}${run ? " at least" : ""}`);
  } else lines.push("no verdict here");
  const near = D.segments.filter((s) => place >= s.from - reach(s) && place <= s.to + reach(s));
  for (const s of near.slice(0, 2)) {
    lines.push("", `segment ${s.rank}: ${s.told}`);
    if (s.why) lines.push(s.why);
    for (const [c, share] of s.blame.slice(0, 5))
      lines.push(`  ${Math.round(100 * share)} %  ${channels[c] ? channels[c].name : D.others[c - channels.length]}`);
  }
  return lines.join("\n");
}
const reach = (s) => Math.max(D.step / 2, ((1.5 - (x(s.to) - x(s.from)) / 2) / (state.width - LEFT - RIGHT)) * (state.b - state.a));
function point(event) {
  const px = event.clientX - panels.getBoundingClientRect().left;
  if (px < LEFT || px > state.width - RIGHT || !n) return leave();
  const i = bucket(placeAt(px)), here = placeAt(px);
  // Between two rows the nearer one is meant.
  state.at = i < n - 1 && here > last[i] && first[i + 1] - here < here - last[i] ? first[i + 1] : Math.min(here, last[i]);
  read.textContent = told(state.at);
  read.style.display = "block";
  const right = event.clientX + 18 + read.offsetWidth > innerWidth;
  read.style.left = Math.max(4, right ? event.clientX - read.offsetWidth - 14 : event.clientX + 18) + "px";
  read.style.top = Math.max(4, Math.min(event.clientY + 16, innerHeight - read.offsetHeight - 8)) + "px";
  ask();
}
// The same by keyboard: from run to run.
function walk(way) {
  const i = state.at === null ? bucket(middle()) : Math.min(n - 1, Math.max(0, bucket(state.at) + way));
  if (!n) return;
  state.at = first[i];
  if (state.at < state.a || state.at > state.b) look(state.at - (state.b - state.a) / 2, state.at + (state.b - state.a) / 2);
  const box = panels.getBoundingClientRect();
  read.textContent = byId("said").textContent = told(state.at);
  read.style.display = "block";
  read.style.left = Math.max(4, Math.min(box.left + x(state.at) + 14, innerWidth - read.offsetWidth - 8)) + "px";
  read.style.top = Math.max(4, box.top + HEAD) + "px";
  ask();
}
function leave() {
  state.at = null;
  read.style.display = "none";
  ask();
}

// ---- hands ----
let held = null;
panels.addEventListener("pointerdown", (e) => {
  held = { px: e.clientX, a: state.a, b: state.b };
  panels.setPointerCapture(e.pointerId);
  panels.classList.add("drag");
});
panels.addEventListener("pointermove", (e) => {
  if (held) {
    const by = ((held.px - e.clientX) / (state.width - LEFT - RIGHT)) * (held.b - held.a);
    look(held.a + by, held.b + by);
  }
  point(e);
});
for (const end of ["pointerup", "pointercancel"]) {
  panels.addEventListener(end, () => { held = null; panels.classList.remove("drag"); });
  strip.addEventListener(end, () => { moved = null; });
}
panels.addEventListener("pointerleave", leave);
panels.addEventListener("dblclick", () => look(A, B));
panels.addEventListener("wheel", (e) => {
  e.preventDefault();
  if (Math.abs(e.deltaX) > Math.abs(e.deltaY)) return pan(e.deltaX / 900);
  zoom(Math.exp(Math.max(-240, Math.min(240, e.deltaY)) / 420), placeAt(e.clientX - panels.getBoundingClientRect().left));
}, { passive: false });
let moved = null;
const onStrip = (e) => A + ((e.clientX - strip.getBoundingClientRect().left - LEFT) / (state.width - LEFT - RIGHT)) * (B - A);
function slide(e) {
  const wide = state.b - state.a, to = onStrip(e) - moved;
  look(to, to + wide);
}
strip.addEventListener("pointerdown", (e) => {
  const at = onStrip(e);
  // Outside the frame: bring its middle here first.
  moved = at >= state.a && at <= state.b ? at - state.a : (state.b - state.a) / 2;
  strip.setPointerCapture(e.pointerId);
  slide(e);
});
strip.addEventListener("pointermove", (e) => { if (moved !== null) slide(e); });
const KEYS = {
  ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2), "+": () => zoom(0.6, middle()), "=": () => zoom(0.6, middle()),
  "-": () => zoom(1 / 0.6, middle()), ArrowUp: () => zoom(0.6, middle()), ArrowDown: () => zoom(1 / 0.6, middle()),
  0: () => look(A, B), Home: () => look(A, B), n: () => beside(1), p: () => beside(-1), Escape: leave,
  ",": () => walk(-1), ".": () => walk(1),
};
panels.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || !Object.hasOwn(KEYS, e.key)) return;
  e.preventDefault();
  KEYS[e.key]();
});
const BUTTONS = { all: KEYS.Home, in: KEYS["+"], out: KEYS["-"], before: KEYS.p, next: KEYS.n };
for (const [id, act] of Object.entries(BUTTONS)) byId(id).addEventListener("click", act);
byId("fit").addEventListener("change", (e) => { state.fit = e.target.checked; ask(); });
byId("follow").addEventListener("change", (e) => { state.follow = e.target.checked; });
byId("log").checked = state.log;
byId("log").addEventListener("change", (e) => { state.log = e.target.checked; ask(); });
document.querySelectorAll("#segments button").forEach((b) => b.addEventListener("click", () => jump(Number(b.dataset.i))));
document.querySelectorAll("#channels input").forEach((box) => box.addEventListener("change", () => {
  const c = Number(box.value);
  state.follow = byId("follow").checked = false; // somebody chooses: a jump must not choose otherwise
  state.chosen = box.checked ? [...state.chosen, c] : state.chosen.filter((one) => one !== c);
  ask();
}));
function measure() {
  state.width = Math.max(320, panels.parentElement.clientWidth);
  ask();
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { colours(); ask(); });
addEventListener("resize", measure);
colours();
measure();
})();
