// A line to type one's own words in, for widgets that ask a model about them.

// {node, line}: `ask(text)` is called by the button and by Enter (see `newest`); `words(text)` gives
// what the line may become. Nothing can be typed before the model is there.
function ownLine(view, desk, { label, button, start = "", words = () => [], ask }) {
  const list = make("datalist", { id: `mm-${Math.random().toString(36).slice(2)}` });
  const look = { type: "text", maxlength: 300, spellcheck: "false", autocomplete: "off", list: list.id };
  const line = make("input", { ...look, value: start });
  const press = make("button", { class: "mm-button", type: "submit" }, button);
  const { ask: send } = newest(view, async (text) => desk.ready() && ask(text));
  const submit = (event) => {
    event.preventDefault();
    send(line.value.slice(0, 2000));
  };
  line.addEventListener("input", () => {
    list.replaceChildren(...words(line.value).map((value) => make("option", { value })));
  });
  // JupyterLab keeps Enter from submitting; where Korean is being composed it ends a syllable.
  line.addEventListener("keydown", (event) => event.key === "Enter" && !event.isComposing && submit(event));
  view.updates.push(() => (line.disabled = press.disabled = !desk.ready()));
  const wide = field(label, line);
  wide.classList.add("mm-wide");
  const form = { class: "mm-controls", novalidate: true, onsubmit: submit };
  return { node: make("form", form, wide, list, press), line };
}

// The text with its last word completed, by known words that begin like it; of Korean, a single
// consonant is enough (NFKD takes it for the first letter of a syllable).
function completions(text, words) {
  const [, before, last] = /^(.*?)(\S*)$/s.exec(text.normalize("NFC"));
  const typed = last.toLowerCase().normalize("NFKD");
  if (!typed) return [];
  const found = words.filter((word) => word.normalize("NFKD").startsWith(typed) && word !== last);
  return found.slice(0, 8).map((word) => before + word);
}
