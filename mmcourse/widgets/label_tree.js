// A picture, the likeliest classes, and below each of them its likeliest kinds.

const CLASSES = 4; // shown, and the right one if it is not among them
const KINDS = 3; // shown of each

async function render({ model, el }) {
  const view = widget({ model, el }, "Label tree");
  const [count, height, width] = view.get("shape");
  const [names, classes, kinds] = [view.get("names"), view.get("classes"), view.get("kinds")];
  const [parent, truth] = [view.get("parent"), view.get("truth")];
  const shares = halves(view.get("shares"));
  const row = (from, size, item) => shares.subarray(from + item * size, from + (item + 1) * size);
  const all = await createImageBitmap(new Blob([bytes(view.get("data"))], { type: "image/webp" }));

  const canvas = make("canvas", { class: "mm-pixels", width, height, role: "img" });
  const tree = make("ol", { class: "mm-tree" });
  const rest = make("p", { class: "mm-hint" });

  view.draw = () => {
    const [item, reweight] = [view.get("picture"), view.get("reweight")];
    const own = row(count * kinds.length, classes.length, item);
    const scores = scored(row(0, kinds.length, item), own, parent, reweight);
    canvas.getContext("2d").drawImage(all, item * width, 0, width, height, 0, 0, width, height);
    canvas.setAttribute("aria-label", `the picture “${names[item]}”`);
    const [[best]] = largest(scores, 1);
    const found = branches(scores, parent, classes.length, truth[item]);
    tree.replaceChildren(
      ...found.map(([place, below]) => {
        const right = place === truth[item];
        const word = `${right ? "✓\u00a0" : ""}${classes[place]}`;
        const title = bar(word, own[place], reweight ? "mm-name" : "mm-name mm-off");
        const leaves = below.map((i) => make("li", {}, bar(kinds[i], scores[i], i === best ? "mm-best" : "")));
        return make("li", { class: right ? "mm-right" : "" }, title, make("ol", {}, ...leaves));
      }),
    );
    const hidden = classes.length - found.length;
    rest.textContent = hidden ? `${hidden} more ${hidden > 1 ? "classes" : "class"} further down.` : "";
    view.say(sentence(names[item], scores, own, parent, classes, kinds, truth[item], reweight));
  };

  return view.start(
    ["picture", "reweight"],
    presetButtons(view) ?? "",
    controls(
      choice(view, "picture", { label: "Picture", options: names.map((name, i) => [i, name]) }),
      toggle(view, "reweight", { label: "Reweight by the class names" }),
    ),
    make("div", { class: "mm-hierarchy" }, canvas, make("div", {}, tree, rest)),
  );
}

// Shares of the kinds, times that of their class if asked; they sum to 1.
function scored(kinds, classes, parent, reweight) {
  const raw = Array.from(kinds, (p, i) => (reweight ? p * classes[parent[i]] : p));
  const sum = raw.reduce((a, b) => a + b, 0);
  return raw.map((p) => p / sum);
}

// [[class, its best kinds], …], the class with the best kind first; the right class is always there.
function branches(scores, parent, classes, truth) {
  const order = largest(scores, scores.length).map(([i]) => i);
  const found = [...new Set(order.map((i) => parent[i]))];
  const kept = found.slice(0, CLASSES);
  if (!kept.includes(truth)) kept.push(truth);
  return kept.map((place) => [place, order.filter((i) => parent[i] === place).slice(0, KINDS)]);
}

const percent = (share) => `${tenth(100 * share)} %`;

function sentence(name, scores, own, parent, classes, kinds, truth, reweight) {
  const [[[best, share]], [[first, flat]]] = [largest(scores, 1), largest(own, 1)];
  const verdict = parent[best] === truth ? "Right." : "Wrong.";
  return (
    `“${name}”. The class names alone say ${classes[first]}, ${percent(flat)}. ` +
    `Of the kinds, ${reweight ? "reweighted, " : ""}${kinds[best]} is best, ${percent(share)}, ` +
    `so the answer is ${classes[parent[best]]}. ${verdict}`
  );
}

// A name, a bar and its number; the kind that decides carries an arrow.
function bar(word, share, kind) {
  const fill = make("svg:rect", { width: Math.max(100 * share, 0.4).toFixed(2), height: 10 });
  const look = { class: "mm-share", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" };
  const name = `${kind === "mm-best" ? "→\u00a0" : ""}${word}`;
  return make("div", { class: `mm-branch ${kind}` }, make("span", {}, name), make("svg:svg", look, fill), make("b", {}, percent(share)));
}

export { branches, scored, sentence };
export default { render };
