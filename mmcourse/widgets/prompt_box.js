// A line to type a prompt in, and what the model draws for it: where a kernel runs, or in the page.

function render({ model, el, experimental }) {
  const view = widget({ model, el }, "Prompt box");
  const pictures = make("div", { class: "mm-drawn" });
  const film = make("div", { class: "mm-strip-of-steps", role: "img", hidden: true });
  const line = make("input", { type: "text", maxlength: 200, spellcheck: "false", autocomplete: "off" });
  const avoid = make("input", { type: "text", maxlength: 200, spellcheck: "false", autocomplete: "off" });
  const numbers = Object.fromEntries(
    Object.entries(RANGES).map(([name, [min, max, step]]) => [name, make("input", { type: "number", min, max, step })]),
  );
  const button = make("button", { class: "mm-button", type: "submit" }, "Draw");
  const halt = make("button", { class: "mm-button", type: "button", onclick: () => here?.stop() }, "Stop");
  const open = make("button", { class: "mm-button", type: "button", onclick: openHere });
  const bar = make("progress", { max: 1, "aria-label": "Loading the model" });
  const hint = make("p", { class: "mm-hint", role: "status" });
  const suggestions = make("datalist", { id: `mm-${Math.random().toString(36).slice(2)}` });
  line.setAttribute("list", suggestions.id);
  let state = "looking"; // for a kernel; then ready, drawing, or in a page alone, offer, loading
  let [here, why, share, size, drawn] = [null, "", 0, 0, null];

  // Does somebody answer? In a page without a kernel nobody does, and it says so at once.
  const ask = (message, seconds) =>
    experimental.invoke("draw", message, { signal: AbortSignal.timeout(1000 * seconds) });
  const turn = (next, reason = "") => {
    [state, why] = [next, reason];
    view.redraw();
  };
  const without = () => turn(view.get("model") && modelsFolder() ? "offer" : "alone");
  ask({}, 15).then(() => turn("ready"), without);

  async function openHere() {
    turn("loading");
    try {
      here = await openModel(view.get("model"), (done, bytes) => {
        [share, size] = [done, bytes / 1e6];
        view.redraw();
      });
      turn("ready");
    } catch (error) {
      turn("alone", `The model cannot run here: ${error.message}.`);
    }
  }

  const drawNow = async (event) => {
    event.preventDefault();
    if (state !== "ready") return;
    const asked = { prompt: line.value, negative: avoid.value.trim() };
    for (const [name, input] of Object.entries(numbers)) asked[name] = Number(input.value);
    const wrong = refused(asked);
    if (wrong) return turn("ready", wrong);
    turn("drawing");
    try {
      await (here ? drawHere(asked) : ask(asked, 120));
      turn("ready", why);
    } catch (error) {
      if (here) turn("alone", `The model stopped: ${error.message}.`);
      else turn("alone");
    }
  };

  async function drawHere(asked) {
    const frames = [];
    const begun = performance.now();
    const said = await here.draw(asked, ({ picture }) => {
      frames.push(picture);
      drawn = { frames, asked, shape: here.about.picture };
      view.redraw();
    });
    why = said.problem ?? (said.stopped ? "Stopped." : "");
    if (said.last) {
      drawn.seconds = (performance.now() - begun) / 1000;
      view.set({ prompt: asked.prompt, seed: asked.seed });
    }
  }

  let wanted = null; // the last file to show, if another comes while one is unpacked
  async function show(data, [count, , height, width]) {
    wanted = data;
    const all = await createImageBitmap(new Blob([bytes(data)], { type: "image/webp" }));
    if (wanted !== data || drawn) return;
    canvases(count, [3, height, width]).forEach((canvas, i) => {
      canvas.getContext("2d").drawImage(all, i * width, 0, width, height, 0, 0, width, height);
      canvas.setAttribute("aria-label", `Picture ${i + 1} of “${view.get("prompt")}”`);
    });
  }

  function canvases(count, [, height, width], place = pictures, role = "img") {
    while (place.children.length > count) place.lastChild.remove();
    while (place.children.length < count) place.append(make("canvas", { class: "mm-pixels", role, width, height }));
    return [...place.children].map((canvas) => Object.assign(canvas, { width, height }));
  }

  function showDrawn({ frames, asked, shape }) {
    const [canvas] = canvases(1, shape);
    paint(canvas.getContext("2d"), frames.at(-1), shape);
    canvas.setAttribute("aria-label", `“${asked.prompt}” after step ${frames.length} of ${asked.steps}`);
    const chosen = spread(frames.length, 12);
    canvases(chosen.length, shape, film, "presentation").forEach((one, i) =>
      paint(one.getContext("2d"), frames[chosen[i]], shape),
    );
    film.setAttribute("aria-label", `What the model expects the picture to be after steps ${chosen.map((i) => i + 1).join(", ")}`);
    film.hidden = frames.length < 2;
  }

  let shown = null;
  view.draw = () => {
    const data = view.get("data");
    if (drawn) showDrawn(drawn);
    else if (data !== shown) show((shown = data), view.get("shape"));
    const typed = ["looking", "ready", "drawing"].includes(state);
    for (const control of [line, avoid, ...Object.values(numbers)]) control.disabled = !typed;
    button.disabled = state !== "ready";
    button.textContent = state === "drawing" ? "Drawing …" : "Draw";
    halt.hidden = !(here && state === "drawing");
    open.hidden = state !== "offer";
    open.textContent = "Load the model and draw here";
    bar.hidden = state !== "loading";
    bar.value = share;
    const problem = view.get("problem") || why;
    hint.textContent = problem || HINTS[state](share, size, Boolean(here));
    hint.classList.toggle("mm-problem", Boolean(problem));
    if (drawn) view.say(sentenceHere(drawn));
    else view.say(sentence(view.get("prompt"), view.get("shape")[0], view.get("seed")));
  };
  const told = () => {
    line.value = view.get("prompt");
    avoid.value = view.get("negative");
    for (const name of Object.keys(RANGES)) numbers[name].value = view.get(name);
  };
  line.addEventListener("input", () => {
    const words = here ? completions(line.value, here.about.words) : [];
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
  const parts = Object.entries(numbers).map(([name, input]) => field(RANGES[name][3], input));
  const form = make("form", { class: "mm-controls", onsubmit: drawNow }, wide, suggestions, away, ...parts, button, halt);
  // JupyterLab keeps Enter from submitting; where Korean is being composed it ends a syllable.
  const enter = (event) => event.key === "Enter" && !event.isComposing && drawNow(event);
  for (const control of [line, avoid, ...Object.values(numbers)]) control.addEventListener("keydown", enter);
  const above = make("div", { class: "mm-controls" }, open, bar);
  const shownTraits = ["data", "shape", "problem", ...traits];
  return view.start(shownTraits, presetButtons(view) ?? "", above, form, hint, pictures, film);
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

// The text with its last word completed, by known words that begin like it.
function completions(text, words) {
  const [, before, last] = /^(.*?)(\S*)$/s.exec(text.normalize("NFC"));
  const typed = last.toLowerCase().normalize("NFD");
  if (!typed) return [];
  const found = words.filter((word) => word.normalize("NFD").startsWith(typed) && word !== last);
  return found.slice(0, 8).map((word) => before + word);
}

const HINTS = {
  looking: () => "Looking for a running notebook …",
  ready: (_, __, here) =>
    here ? "The model runs in this page. Type what you want to see and press Enter." : "Type what you want to see and press Enter.",
  drawing: () => "Drawing …",
  offer: () => "The model can run in this page, without a notebook: it is loaded once, and nothing leaves your computer.",
  loading: (share, size) => `Loading the model: ${Math.round(100 * share)} % of ${Math.round(size)} MB …`,
  alone: () => "This page has no running notebook behind it: open the lesson in JupyterLab and run it to draw your own.",
};

function sentence(prompt, count, seed) {
  return `“${prompt}”: ${count} ${count === 1 ? "picture" : "pictures"} from seed ${seed}.`;
}

function sentenceHere({ asked, frames, seconds }) {
  const not = asked.negative ? `, not “${asked.negative}”` : "";
  const took = seconds ? `; ${seconds.toFixed(1)} s` : "";
  return `“${asked.prompt}”${not}: seed ${asked.seed}, step ${frames.length} of ${asked.steps}, guidance ${asked.scale}${took}.`;
}

export { completions, refused, sentence, spread };
export default { render };
