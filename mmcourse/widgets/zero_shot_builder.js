// A classifier made of words: the text tower reads class names in a template, and pictures whose
// vectors the page holds go to the class that lies nearest.

async function render({ model, el, experimental }) {
  const view = widget({ model, el }, "Zero-shot classifier");
  const [count, height, width] = view.get("shape");
  const [states, stored, names] = [view.get("readers"), view.get("stored"), view.get("names")];
  const readers = states.map(textReader);
  const { seen, read, file } = unpacked(view.get("data"), count, states, stored);
  const all = await createImageBitmap(file);
  const desk = modelDesk(view, experimental, { invite: "Write class names and press “Sort the pictures”." });

  const quiet = { maxlength: 600, spellcheck: "false", autocomplete: "off" };
  const list = make("textarea", { rows: 6, "data-lm-suppress-shortcuts": "true", ...quiet });
  const template = make("input", { type: "text", ...quiet });
  const select = make("select", {}, ...states.map(({ name }) => make("option", {}, name)));
  const button = make("button", { class: "mm-button", type: "submit" }, "Sort the pictures");
  const note = make("p", { class: "mm-hint" });
  const bins = make("div", { class: "mm-bins" });
  let drawn = null;

  const { ask, shown, busy } = askedReader({ view, model, desk, readers, states, stored, read }, {
    fill: (one) => {
      [list.value, template.value] = [classesOf(one.classes).join("\n"), one.template];
      select.selectedIndex = one.reader;
    },
    read: () => {
      const asked = { classes: list.value, template: template.value };
      const reader = select.selectedIndex;
      const { problem, classes, rows } = prompts(asked, readers[reader]);
      return { problem, reader, rows, answer: { ...asked, classes: classes?.join(", ") } };
    },
  });

  view.draw = () => {
    const one = shown();
    const classes = classesOf(one.classes);
    const fits = fitting(classes, view.get("truths"), view.get("attributes"));
    const sorted = sortPictures(one.read, seen[one.reader], states[one.reader].scale);
    if (drawn !== one.read) fillBins(bins, { all, width, height, names, classes, fits, sorted });
    drawn = one.read;
    note.textContent = states[select.selectedIndex].note;
    for (const control of [list, template, select]) control.disabled = !desk.ready();
    button.disabled = !desk.ready() || busy();
    view.say(sentence(classes, sorted.chosen, fits));
  };

  select.addEventListener("change", () => (view.redraw(), ask()));
  // JupyterLab keeps Enter from submitting; where Korean is being composed it ends a syllable.
  template.addEventListener("keydown", (event) => event.key === "Enter" && !event.isComposing && ask(event));
  list.addEventListener("keydown", (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && ask(event));
  const [wide, frame] = [field("Class names, one a line (2 to 12)", list), field("Template, with {} for the name", template)];
  for (const one of [wide, frame]) one.classList.add("mm-wide");
  const which = field("Model", select);
  which.hidden = states.length < 2;
  const side = make("div", { class: "mm-side" }, which, frame, button);
  const form = make("form", { class: "mm-split mm-form", novalidate: true, onsubmit: ask }, wide, side);
  return view.start(["asked"], presetButtons(view) ?? "", desk.node, form, note, view.summary, bins);
}

// A box for each class, its pictures by falling share, right and wrong marked where it is known.
function fillBins(bins, { all, width, height, names, classes, fits, sorted }) {
  const { chosen, shares } = sorted;
  bins.replaceChildren(
    ...classes.map((name, c) => {
      const mine = chosen.flatMap((one, i) => (one === c ? [i] : []));
      mine.sort((a, b) => shares[b][c] - shares[a][c]);
      const title = make("p", { class: "mm-title" }, `${name}: ${mine.length} ${mine.length === 1 ? "picture" : "pictures"}`);
      const items = mine.map((i) => {
        const canvas = make("canvas", { class: "mm-pixels", width, height, role: "img" });
        canvas.getContext("2d").drawImage(all, i * width, 0, width, height, 0, 0, width, height);
        const [mark, verdict] = judged(fits?.[i], c);
        canvas.setAttribute("aria-label", names[i] + (verdict && `, ${verdict}`));
        const told = make("span", {}, percent(shares[i][c]), make("span", { "aria-hidden": "true" }, mark));
        const data = { "data-picture": i, "data-share": shares[i][c].toFixed(7) };
        return make("li", { class: verdict === "wrong" ? "mm-wrong" : "", ...data }, canvas, told);
      });
      const list = mine.length ? make("ul", { "aria-label": `Sorted into ${name}` }, ...items) : make("p", { class: "mm-hint" }, "none");
      return make("div", { class: "mm-bin", "data-class": name }, title, list);
    }),
  );
}

// A mark and a word for a picture in class c, by the classes that fit it; none where nobody knows.
function judged(fits, c) {
  if (!fits) return ["", ""];
  if (!fits.length) return [" –", "no class fits"];
  return fits.includes(c) ? [" ✓", "right"] : [" ✗", "wrong"];
}

// {classes, rows} of what was typed, or {problem}.
function prompts({ classes: text, template }, reader) {
  const classes = classesOf(text);
  if (classes.length < 2 || classes.length > 12)
    return { problem: `A classifier here has 2 to 12 classes, one a line or with commas between; got ${classes.length}.` };
  const twice = classes.find((name, i) => classes.indexOf(name) < i);
  if (twice) return { problem: `Two classes are called “${twice.slice(0, 40)}”: name each once.` };
  if (template.split("{}").length !== 2 || /[{}]/.test(template.replace("{}", "")))
    return { problem: "The template needs one {} where the class name goes, such as “a {}”." };
  const rows = [];
  for (const name of classes) {
    const filled = template.replace("{}", () => name);
    const { problem, ids } = reader.encode(filled, `“${filled.slice(0, 40)}${filled.length > 40 ? "…" : ""}”`);
    if (problem) return { problem };
    rows.push(ids);
  }
  return { classes, rows };
}

// One a line, or with commas between.
const classesOf = (text) =>
  text
    .slice(0, 5000)
    .split(/[,\n]/u)
    .map((name) => name.trim().split(/\s+/u).join(" "))
    .filter((name) => name);

// The class of each picture, and the shares of all classes at the model's scale.
function sortPictures(texts, pictures, scale) {
  const shares = pictures.map((vector) => softmax(texts.map((text) => scale * dot(vector, text))));
  return { shares, chosen: shares.map((row) => row.indexOf(Math.max(...row))) };
}

const ARTICLES = ["a", "an", "the"];

// For each picture the classes whose words are all true of it; null where nobody knows.
function fitting(classes, truths, attributes) {
  const said = classes.map((name) => name.toLowerCase().split(" ").filter((word) => !ARTICLES.includes(word)));
  if (!said.every((words) => words.length && words.every((word) => attributes.includes(word)))) return null;
  return truths.map((own) => said.flatMap((words, i) => (words.every((word) => own.includes(word)) ? [i] : [])));
}

function sentence(classes, chosen, fits) {
  const counts = classes.map((name, i) => `${name} ${chosen.filter((one) => one === i).length}`);
  const said = `${chosen.length} pictures in ${classes.length} classes: ${counts.join(", ")}.`;
  if (!fits) return `${said} Nobody knows the truth of these classes, so nothing is counted.`;
  const some = chosen.flatMap((mine, i) => (fits[i].length ? [fits[i].includes(mine)] : []));
  const right = some.filter((one) => one).length;
  const [share, chance] = [right / some.length, 1 / classes.length].map((part) => `${Math.round(100 * part)} %`);
  const score = some.length ? ` Right: ${right} of ${some.length} (${share}; by guessing ${chance}).` : "";
  const left = chosen.length - some.length;
  return said + score + (left ? ` No class fits ${left} of the pictures, and each had to go somewhere.` : "");
}

export { classesOf, fitting, prompts, sentence, sortPictures, textReader };
export default { render };
