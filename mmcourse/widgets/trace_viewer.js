// The See–Think–Confirm loop step by step: what was found, asked for, described, answered, kept.

const STAGES = ["attend", "describe", "predict", "confirm"];

async function render({ model, el }) {
  const view = widget({ model, el }, "Trace viewer");
  const [count, height, width] = view.get("shape");
  const cases = view.get("cases");
  const file = () => new Blob([bytes(view.get("data"))], { type: "image/webp" });
  const all = count ? await createImageBitmap(file()) : null;

  const canvas = make("canvas", { class: "mm-pixels", width, height, role: "img" });
  const frames = make("svg:svg", { class: "mm-boxes", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  const scene = make("div", { class: "mm-scene" }, canvas, frames);
  const left = make("div", {});
  const legend = make("p", { class: "mm-hint" }, "Found; a number is the round that looked at it");
  const map = make("svg:svg", { class: "mm-map", role: "img" });
  const found = make("ul", { class: "mm-found" });
  const steps = make("ol", { class: "mm-steps" });
  const told = make("ol", { class: "mm-told" });
  const question = make("p", { class: "mm-title" });

  view.draw = () => {
    const one = cases[view.get("case")];
    const step = Math.min(view.get("step"), end(one)); // another case may be shorter
    question.textContent = one.question;
    const looked = looks(one, step);
    left.replaceChildren(...(one.picture < 0 ? [] : [scene]), legend, found);
    if (one.picture >= 0) {
      canvas.getContext("2d").drawImage(all, one.picture * width, 0, width, height, 0, 0, width, height);
      canvas.setAttribute("aria-label", `the picture, in it ${one.concepts.map(([name]) => name).join(", ")}`);
      const edge = make("svg:rect", { class: "mm-edge", width, height });
      frames.replaceChildren(edge, ...one.boxes.map((box, i) => frame(box, looked[i], width, height)));
    }
    found.replaceChildren(
      ...one.concepts.map(([name], i) =>
        make("li", { class: look(looked[i]) }, `${looked[i] ? looked[i].round : "·"}\u00a0${name}`),
      ),
    );
    trail(map, one, step, (next) => view.set({ step: next }));
    steps.replaceChildren(...lines(one).map((parts, i) => line(parts, i, step)));
    const known = context(one, step);
    told.replaceChildren(...known.map(([text, own]) => make("li", { class: own ? "mm-own" : "" }, own ? `“${text}”` : text)));
    view.say(sentence(one, step));
  };

  const last = () => end(cases[view.get("case")]);
  const stage = (step) => named(step, last());
  // Every case opens at its end, so that the whole trace is there.
  const open = (value) => ({ step: end(cases[value]) });
  return view.start(
    ["case", "step"],
    presetButtons(view) ?? "",
    controls(
      choice(view, "case", { label: "Case", options: cases.map((one, i) => [i, one.name]), also: open }),
      slider(view, "step", { label: "Step", max: last, format: stage }),
    ),
    question,
    map,
    make("div", { class: "mm-trace" }, left, steps),
    make("p", { class: "mm-title" }, "What the language model has been told"),
    told,
    make("p", { class: "mm-hint" }, "In quotation marks: its own sentences, which were kept."),
  );
}

const named = (step, last) =>
  step === 0 ? "see" : step >= last ? "answer" : `${1 + Math.floor((step - 1) / 4)} ${STAGES[(step - 1) % 4]}`;

const end = (one) => 1 + 4 * one.rounds.length;

// For each concept: the round in which it was looked at by now, and whether that is the present one.
function looks(one, step) {
  const now = step === 0 || step === end(one) ? -1 : Math.floor((step - 1) / 4);
  const by = one.concepts.map(() => null);
  one.rounds.forEach((turn, i) => {
    if (step >= 1 + 4 * i) by[turn.attended] = { round: i + 1, now: i === now };
  });
  return by;
}

const look = (seen) => (!seen ? "" : seen.now ? "mm-now" : "mm-seen");

// All that was said to the language model by a step: [sentence, whether it is its own].
function context(one, step) {
  const kept = (turn) => turn.claims.filter(([, , good]) => good).map(([claim]) => [claim, true]);
  const known = [[one.caption, false]];
  one.rounds.forEach((turn, i) => {
    if (step >= 2 + 4 * i) known.push([turn.description, false]);
    if (step >= 4 + 4 * i) known.push(...kept(turn));
  });
  return known;
}

const score = (value) => (value === null ? "not checked" : `score ${value.toFixed(2)}`);

function said(one, turn, stage) {
  if (stage === 0) return `${one.concepts[turn.attended][0]}.`;
  if (stage === 1) return turn.description;
  if (stage === 2) return `${turn.answer}.`;
  const claims = turn.claims.map(([claim, value, kept]) => `${claim} ${kept ? "Kept" : "Refused"}, ${score(value)}.`);
  return claims.join(" ") || "nothing was claimed.";
}

// Kept, refused, or never checked.
function sign(turn) {
  if (!turn.claims.some(([, , good]) => good)) return "✗";
  return turn.claims.some(([, value]) => value !== null) ? "✓" : "○";
}

// The lines of a trace, one a step: [who, text, mark].
function lines(one) {
  const rows = [["see", one.caption, ""]];
  one.rounds.forEach((turn, i) => {
    STAGES.forEach((name, stage) => {
      rows.push([`${i + 1} ${name}`, said(one, turn, stage), stage < 3 ? "" : `${sign(turn)} `]);
    });
  });
  const sure = one.confirmed ? "confirmed" : "not confirmed";
  const right = one.answer === one.truth ? "right" : `people say ${one.truth}`;
  rows.push(["answer", `${one.answer || "none"}, ${sure}, ${right}. It ended: ${one.ended}.`, ""]);
  return rows;
}

function line([who, text, mark], i, step) {
  const kind = i === step ? "mm-now" : i > step ? "mm-later" : "";
  const hidden = i > step ? { "aria-hidden": "true" } : {};
  return make("li", { class: kind, ...hidden, ...(i === step ? { "aria-current": "step" } : {}) }, make("b", {}, who), make("span", {}, i > step ? "…" : `${mark}${text}`));
}

// A cell a step: see, four for each round in a row, the answer. A click goes there.
function trail(svg, one, step, pick) {
  const last = end(one);
  const [wide, high, first] = [82, 24, 62];
  const cell = (at, x, y, width, words) => {
    const kind = at === step ? "mm-now" : at < step ? "mm-done" : "mm-todo";
    const text = at <= step ? words : "";
    const place = { x: x + width / 2, y: y + 16, "text-anchor": "middle" };
    return make("svg:g", { class: `mm-cell ${kind}`, onclick: () => pick(at) }, make("svg:rect", { x, y, width, height: high - 4, rx: 4 }), make("svg:text", place, text));
  };
  const head = STAGES.map((name, i) => make("svg:text", { x: first + wide * (i + 0.5) - 2, y: high + 14, "text-anchor": "middle" }, name));
  const rows = one.rounds.flatMap((turn, i) => {
    const y = high * (i + 2);
    const words = [one.concepts[turn.attended][0], "…", turn.answer, sign(turn)];
    const label = make("svg:text", { x: 0, y: y + 16 }, `round ${i + 1}`);
    return [label, ...words.map((word, k) => cell(1 + 4 * i + k, first + wide * k, y, wide - 4, cut(word)))];
  });
  const foot = high * (one.rounds.length + 2);
  const found = `${one.concepts.length} found`;
  const sure = one.confirmed ? "confirmed" : "not confirmed";
  svg.setAttribute("viewBox", `0 0 ${first + 4 * wide} ${foot + high}`);
  svg.setAttribute("aria-label", `Steps in a map: see, rounds: ${one.rounds.length}, answer; now ${named(step, last)}`);
  svg.replaceChildren(
    make("svg:text", { x: 0, y: 16 }, "see"),
    cell(0, first, 0, 4 * wide - 4, found),
    ...head,
    ...rows,
    make("svg:text", { x: 0, y: foot + 16 }, "answer"),
    cell(last, first, foot, 4 * wide - 4, `${one.answer || "none"}, ${sure}`),
  );
}

const cut = (word) => (word.length > 11 ? `${word.slice(0, 10)}…` : word);

function frame([left, top, right, bottom], seen, width, height) {
  // What reaches beyond the picture is drawn along its border.
  const [x, y] = [clamp(left, 0.5, width), clamp(top, 0.5, height)];
  const size = { width: clamp(right, 0, width - 0.5) - x, height: clamp(bottom, 0, height - 0.5) - y };
  const group = make("svg:g", { class: `mm-box ${look(seen)}` }, make("svg:rect", { class: "mm-halo", x, y, ...size }), make("svg:rect", { x, y, ...size }));
  if (seen) group.append(make("svg:text", { x: x + 1, y: y + 4.2 }, String(seen.round)));
  return group;
}

function sentence(one, step) {
  const start = `${one.name}: ${one.question}`;
  const rounds = one.rounds.length;
  if (step === 0) return `${start} Seen: ${one.caption} Found: ${one.concepts.map(([name]) => name).join(", ") || "nothing"}.`;
  if (step === end(one)) {
    const sure = one.confirmed ? "confirmed" : "not confirmed";
    const verdict = one.answer === one.truth ? "right" : `people say ${one.truth}`;
    return `${start} Answer, rounds: ${rounds}. ${one.answer || "none"}, ${sure}, ${verdict}. It ended: ${one.ended}.`;
  }
  const [round, stage] = [Math.floor((step - 1) / 4), (step - 1) % 4];
  return `${start} Round ${round + 1} of ${rounds}, ${STAGES[stage]}: ${said(one, one.rounds[round], stage)}`;
}

export { context, looks, sentence };
export default { render };
