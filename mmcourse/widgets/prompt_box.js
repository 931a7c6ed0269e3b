// A line to type a prompt in, and what the model draws for it, where a kernel runs.

function render({ model, el, experimental }) {
  const view = widget({ model, el }, "Prompt box");
  const pictures = make("div", { class: "mm-drawn" });
  const line = make("input", { type: "text", maxlength: 200, spellcheck: "false", autocomplete: "off" });
  const noise = make("input", { type: "number", min: 0, max: 9999, step: 1 });
  const button = make("button", { class: "mm-button", type: "submit" }, "Draw");
  const hint = make("p", { class: "mm-hint", role: "status" });
  let state = "looking"; // for a kernel; then "ready", "drawing" or "alone"

  // Does somebody answer? In a page without a kernel nobody does, and it says so at once.
  const ask = (message, seconds) =>
    experimental.invoke("draw", message, { signal: AbortSignal.timeout(1000 * seconds) });
  const turn = (next) => {
    state = next;
    view.redraw();
  };
  ask({}, 15).then(
    () => turn("ready"),
    () => turn("alone"),
  );
  const drawNow = async (event) => {
    event.preventDefault();
    if (state !== "ready") return;
    turn("drawing");
    const message = { prompt: line.value, seed: clamp(Math.floor(Number(noise.value) || 0), 0, 9999) };
    try {
      await ask(message, 120);
      turn("ready");
    } catch {
      turn("alone");
    }
  };

  let wanted = null; // the last file to show, if another comes while one is unpacked
  async function show(data, [count, , height, width]) {
    wanted = data;
    const all = await createImageBitmap(new Blob([bytes(data)], { type: "image/webp" }));
    if (wanted !== data) return;
    while (pictures.children.length > count) pictures.lastChild.remove();
    while (pictures.children.length < count)
      pictures.append(make("canvas", { class: "mm-pixels", role: "img", width, height }));
    [...pictures.children].forEach((canvas, i) => {
      Object.assign(canvas, { width, height });
      canvas.getContext("2d").drawImage(all, i * width, 0, width, height, 0, 0, width, height);
      canvas.setAttribute("aria-label", `Picture ${i + 1} of “${view.get("prompt")}”`);
    });
  }

  let shown = null;
  view.draw = () => {
    const data = view.get("data");
    if (data !== shown) show((shown = data), view.get("shape"));
    const idle = state === "ready";
    for (const control of [line, noise]) control.disabled = state === "alone";
    button.disabled = !idle;
    button.textContent = state === "drawing" ? "Drawing …" : "Draw";
    hint.textContent = view.get("problem") || HINTS[state];
    hint.classList.toggle("mm-problem", Boolean(view.get("problem")));
    view.say(sentence(view.get("prompt"), view.get("shape")[0], view.get("seed")));
  };
  const told = () => {
    line.value = view.get("prompt");
    noise.value = view.get("seed");
  };
  model.on("change:prompt change:seed", told);
  view.tidy(() => model.off("change:prompt change:seed", told));
  told();
  const wide = field("Prompt, in English or Korean", line);
  wide.classList.add("mm-wide");
  const form = make("form", { class: "mm-controls", onsubmit: drawNow }, wide, field("Seed", noise), button);
  // JupyterLab keeps Enter from submitting; where Korean is being composed it ends a syllable.
  const enter = (event) => event.key === "Enter" && !event.isComposing && drawNow(event);
  for (const control of [line, noise]) control.addEventListener("keydown", enter);
  return view.start(["data", "shape", "prompt", "seed", "problem"], presetButtons(view) ?? "", form, hint, pictures);
}

const HINTS = {
  looking: "Looking for a running notebook …",
  ready: "Type what you want to see and press Enter.",
  drawing: "Drawing …",
  alone: "This page has no running notebook behind it: open the lesson in JupyterLab and run it to draw your own.",
};

function sentence(prompt, count, seed) {
  return `“${prompt}”: ${count} ${count === 1 ? "picture" : "pictures"} from seed ${seed}.`;
}

export { sentence };
export default { render };
