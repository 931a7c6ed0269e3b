// A line to type a prompt in, and what the model draws for it: where a kernel runs, or in the page.

function render({ model, el, experimental }) {
  const view = widget({ model, el }, "Prompt box");
  const desk = modelDesk(view, experimental, {
    command: "draw",
    invite: "Type what you want to see and press Enter.",
    alone: "This page has no running notebook behind it: open the lesson in JupyterLab and run it to draw your own.",
  });
  const text = () => make("input", { type: "text", maxlength: 200, spellcheck: "false", autocomplete: "off" });
  const [line, avoid] = [text(), text()];
  const numbers = Object.fromEntries(
    Object.entries(RANGES).map(([name, [min, max, step]]) => [name, make("input", { type: "number", min, max, step })]),
  );
  const typed = [line, avoid, ...Object.values(numbers)];
  const button = make("button", { class: "mm-button", type: "submit" }, "Draw");
  const halt = make("button", { class: "mm-button", type: "button", onclick: () => desk.page()?.stop() }, "Stop");
  const suggestions = make("datalist", { id: `mm-${Math.random().toString(36).slice(2)}` });
  line.setAttribute("list", suggestions.id);
  const pictures = make("div", { class: "mm-drawn" });
  const story = stepsAndWords(view);
  let [drawing, drawn] = [false, null]; // what the page has drawn by itself

  const drawNow = async (event) => {
    event.preventDefault();
    if (!desk.ready() || drawing) return;
    const asked = { prompt: line.value, negative: avoid.value.trim() };
    for (const [name, input] of Object.entries(numbers)) asked[name] = input.value === "" ? NaN : Number(input.value);
    const wrong = refused(asked);
    if (wrong) return desk.told(wrong);
    drawing = true;
    desk.told("");
    try {
      if (desk.page()) await drawHere(asked);
      else await drawThere(asked);
    } catch (error) {
      desk.fail(error);
    }
    drawing = false;
    view.redraw();
  };

  async function drawHere(asked) {
    const begun = performance.now();
    const shape = desk.page().about.picture;
    const frames = [];
    const said = await desk.page().draw(asked, (frame) => {
      frames.push(frame);
      drawn = { frames, asked, shape };
      story.reset();
      view.redraw();
    });
    if (said.stopped) return desk.told("Stopped.", false);
    if (said.problem) return desk.told(asSentence(said.problem));
    Object.assign(drawn, { seconds: (performance.now() - begun) / 1000, words: said.words });
    view.set(asked);
  }

  // A kernel answers with the whole story of one picture, or sends pictures as traits.
  async function drawThere(asked) {
    const [said, buffers] = await desk.invoke(asked, 120);
    if (said.problem || !said.pictures) return desk.told(asSentence(said.problem));
    const [count, ...shape] = said.pictures;
    const [, rows, columns] = said.maps;
    const [all, maps] = [bytes(buffers[0]), floats(buffers[1])];
    const part = (values, i) => values.subarray((i * values.length) / count, ((i + 1) * values.length) / count);
    const frame = (_, i) => ({ picture: part(all, i), maps: part(maps, i), rows, columns });
    drawn = { frames: Array.from({ length: count }, frame), asked, shape, words: said.words };
    story.reset();
    view.set(asked);
  }

  let wanted = null; // the last file to show, if another comes while one is unpacked
  async function show(data, [count, , height, width]) {
    wanted = data;
    const all = await createImageBitmap(new Blob([bytes(data)], { type: "image/webp" }));
    if (wanted !== data || drawn) return;
    canvases(pictures, count, [3, height, width]).forEach((canvas, i) => {
      canvas.getContext("2d").drawImage(all, i * width, 0, width, height, 0, 0, width, height);
      canvas.setAttribute("aria-label", `Picture ${i + 1} of “${view.get("prompt")}”`);
    });
  }

  let shown = null;
  view.draw = () => {
    const data = view.get("data");
    if (drawn) story.show(drawn, pictures);
    else if (data !== shown) show((shown = data), view.get("shape"));
    for (const control of typed) control.disabled = !desk.ready();
    button.disabled = !desk.ready() || drawing;
    button.textContent = drawing ? "Drawing …" : "Draw";
    halt.hidden = !(desk.page() && drawing);
    if (drawn) view.say(sentenceHere(drawn, story.told(drawn)));
    else view.say(sentence(view.get("prompt"), view.get("shape")[0], view.get("seed")));
  };
  const told = () => {
    if (drawing) return; // what is typed meanwhile stays
    line.value = view.get("prompt");
    avoid.value = view.get("negative");
    for (const name of Object.keys(RANGES)) numbers[name].value = view.get(name);
  };
  line.addEventListener("input", () => {
    const words = completions(line.value, view.get("words"));
    suggestions.replaceChildren(...words.map((value) => make("option", { value })));
  });
  const traits = ["prompt", "negative", ...Object.keys(RANGES)];
  const events = traits.map((name) => `change:${name}`).join(" ");
  model.on(events, told);
  view.tidy(() => model.off(events, told));
  told();
  const wide = field("Prompt, in English or Korean", line);
  const away = field("Not this (may stay empty)", avoid);
  for (const one of [wide, away]) one.classList.add("mm-wide");
  wide.classList.add("mm-prompt"); // a row of its own: prompts are long
  const parts = Object.entries(numbers).map(([name, input]) => field(RANGES[name][3], input));
  const form = make("form", { class: "mm-controls", novalidate: true, onsubmit: drawNow }, wide, suggestions, away, ...parts, button, halt);
  // JupyterLab keeps Enter from submitting; where Korean is being composed it ends a syllable.
  const enter = (event) => event.key === "Enter" && !event.isComposing && drawNow(event);
  for (const control of typed) control.addEventListener("keydown", enter);
  const shownTraits = ["data", "shape", ...traits];
  return view.start(shownTraits, presetButtons(view) ?? "", desk.node, form, pictures, ...story.nodes);
}

// Below a picture of the page's own: the way there, and where each word is read.
function stepsAndWords(view) {
  const film = make("div", { class: "mm-strip-of-steps", role: "img", hidden: true });
  let [at, word] = [null, null]; // a step, null for the last; a word, null for none
  const move = () => {
    at = Number(range.value);
    view.redraw();
  };
  const range = make("input", { type: "range", min: 0, step: 1, oninput: move });
  const number = make("span", { class: "mm-value", "aria-hidden": "true" });
  const slide = field("Step shown", range, number);
  const buttons = make("div", { class: "mm-words", role: "group", "aria-label": "Where a word is read" });
  const read = make("div", { class: "mm-read" }, make("span", { class: "mm-try", "aria-hidden": "true" }, "Where is it read?"), buttons);
  const reset = () => ([at, word] = [null, null]);

  function name(words) {
    if (buttons.childElementCount === words.length && words.every((w, i) => buttons.children[i].textContent === w)) return;
    const press = (i) => () => {
      word = word === i ? null : i;
      view.redraw();
    };
    buttons.replaceChildren(...words.map((w, i) => make("button", { type: "button", class: "mm-button", onclick: press(i) }, w)));
  }

  function show({ frames, asked, shape, words }, place) {
    const last = frames.length - 1;
    const now = at === null ? last : Math.min(at, last);
    const [canvas] = canvases(place, 1, shape);
    const { picture } = frames[now];
    if (word === null || !words) paint(canvas.getContext("2d"), picture, shape);
    else {
      veil(canvas, picture, shape, shares(weightsOf(frames[now], word)), [frames[now].rows, frames[now].columns]);
    }
    const lit = word === null || !words ? "" : `, lit where “${words[word]}” is read`;
    canvas.setAttribute("aria-label", `“${asked.prompt}” after step ${now + 1} of ${asked.steps}${lit}`);
    const chosen = spread(frames.length, 12);
    canvases(film, chosen.length, shape, "presentation").forEach((one, i) => {
      paint(one.getContext("2d"), frames[chosen[i]].picture, shape);
      one.classList.toggle("mm-on", chosen[i] === now);
    });
    film.setAttribute("aria-label", `What the model expects the picture to be after steps ${chosen.map((i) => i + 1).join(", ")}`);
    film.hidden = slide.hidden = frames.length < 2;
    [range.max, range.value] = [last, now];
    number.textContent = `${now + 1} of ${asked.steps}`;
    range.setAttribute("aria-valuetext", number.textContent);
    read.hidden = !words;
    if (words) name(words);
    [...buttons.children].forEach((one, i) => one.setAttribute("aria-pressed", i === word));
  }
  slide.hidden = read.hidden = true;
  // The step that is shown, and where in the picture the chosen word is read most.
  function told({ frames, words }) {
    const now = at === null ? frames.length - 1 : Math.min(at, frames.length - 1);
    if (word === null || !words) return { now, lit: "" };
    const values = weightsOf(frames[now], word);
    const best = values.indexOf(Math.max(...values));
    const [row, column] = [Math.floor(best / frames[now].columns), best % frames[now].columns];
    const weight = values[best].toFixed(2);
    return { now, lit: ` “${words[word]}” is read most in row ${row + 1}, column ${column + 1} of ${frames[now].rows} × ${frames[now].columns} places (weight ${weight}).` };
  }
  return { nodes: [slide, film, read], show, reset, told };
}

// `count` canvases in a place, of the size of pictures of this shape.
function canvases(place, count, [, height, width], role = "img") {
  while (place.children.length > count) place.lastChild.remove();
  while (place.children.length < count) place.append(make("canvas", { class: "mm-pixels", role, width, height }));
  return [...place.children].map((canvas) => Object.assign(canvas, { width, height }));
}

// How much each place reads one word.
function weightsOf({ maps, rows, columns }, word) {
  const each = maps.length / (rows * columns);
  return Float32Array.from({ length: rows * columns }, (_, i) => maps[i * each + word]);
}

const asSentence = (why) => why && `${why[0].toUpperCase()}${why.slice(1)}.`;

// From 0 (the least) to 1 (the most).
function shares(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return values.map((value) => (value - low) / Math.max(high - low, 1e-9));
}

// Lowest, highest, step, label.
const RANGES = {
  seed: [0, 4294967295, 1, "Seed"],
  steps: [1, 50, 1, "Steps"],
  scale: [0, 20, 0.5, "Guidance"],
};

// Why something cannot be drawn, or "".
function refused({ prompt, ...asked }) {
  if (!prompt.trim()) return "Type what you want to see: the prompt is empty.";
  for (const [name, [low, high, step, label]] of Object.entries(RANGES)) {
    const value = asked[name];
    if (!(value >= low && value <= high) || (step === 1 && !Number.isInteger(value)))
      return `${label} must be a ${step === 1 ? "whole " : ""}number from ${low} to ${high}.`;
  }
  return "";
}

// Up to `most` of 0 … count − 1, evenly, the ends among them.
function spread(count, most) {
  if (count <= most) return Array.from({ length: count }, (_, i) => i);
  return Array.from({ length: most }, (_, i) => Math.round((i * (count - 1)) / (most - 1)));
}

function sentence(prompt, count, seed) {
  return `“${prompt}”: ${count} ${count === 1 ? "picture" : "pictures"} from seed ${seed}.`;
}

function sentenceHere({ asked, frames, seconds }, { now, lit }) {
  const not = asked.negative ? `, not “${asked.negative}”` : "";
  const took = seconds ? `; ${seconds.toFixed(1)} s` : "";
  const first = now < frames.length - 1 ? " (an earlier one)" : "";
  return `“${asked.prompt}”${not}: seed ${asked.seed}, step ${now + 1} of ${asked.steps}${first}, guidance ${asked.scale}${took}.${lit}`;
}

export { completions, refused, sentence, shares, spread };
export default { render };
