// A caption against pictures whose vectors the page holds; the text tower reads what is typed.

async function render({ model, el, experimental }) {
  const view = widget({ model, el }, "Caption match");
  const [count, height, width] = view.get("shape");
  const [states, stored, names] = [view.get("readers"), view.get("stored"), view.get("names")];
  const readers = states.map(textReader);
  const { seen, read, file } = unpacked(view.get("data"), count, states, stored);
  const all = await createImageBitmap(file);
  const desk = modelDesk(view, experimental, { invite: "Type a caption and press Enter." });

  const line = make("input", { type: "text", maxlength: 300, spellcheck: "false", autocomplete: "off" });
  const select = make("select", {}, ...states.map(({ name }) => make("option", {}, name)));
  const button = make("button", { class: "mm-button", type: "submit" }, "Compare");
  const note = make("p", { class: "mm-hint" });
  const words = wordStrip();
  const places = names.map(() => place(width, height));

  const { ask, shown, busy } = askedReader({ view, model, desk, readers, states, stored, read }, {
    fill: (one) => ([line.value, select.selectedIndex] = [one.caption, one.reader]),
    read: () => {
      const reader = select.selectedIndex;
      const { problem, words: found } = readers[reader].encode(line.value, "A caption", states[reader].rows - 1);
      if (problem) return { problem };
      return { reader, rows: withoutEach(found).map(readers[reader].row), answer: { caption: found.join(" ") } };
    },
  });

  view.draw = () => {
    const one = shown();
    const answer = matched(one.read, seen[one.reader], states[one.reader].scale);
    answer.order.forEach((picture, i) => {
      const mark = view.get("marks")[picture];
      places[i].show(all, picture, i, names[picture], mark, answer);
    });
    words.show(one.caption.split(" "), answer.drops);
    note.textContent = states[select.selectedIndex].note;
    for (const control of [line, select]) control.disabled = !desk.ready();
    button.disabled = !desk.ready() || busy();
    view.say(sentence(one.caption, answer, names, states[one.reader].name));
  };

  select.addEventListener("change", () => (view.redraw(), ask()));
  // JupyterLab keeps Enter from submitting; where Korean is being composed it ends a syllable.
  line.addEventListener("keydown", (event) => event.key === "Enter" && !event.isComposing && ask(event));
  const wide = field("Caption", line);
  wide.classList.add("mm-wide");
  const which = field("Model", select);
  which.hidden = states.length < 2;
  const form = make("form", { class: "mm-controls", novalidate: true, onsubmit: ask }, which, wide, button);
  const list = make("ol", { class: "mm-matches", "aria-label": "Pictures, the most similar first" }, ...places.map(({ node }) => node));
  return view.start(["asked"], presetButtons(view) ?? "", desk.node, form, note, words.node, view.summary, list);
}

// One picture of the list: its rank, cosine and share.
function place(width, height) {
  const canvas = make("canvas", { class: "mm-pixels", width, height, role: "img" });
  const bar = make("span", { class: "mm-near" });
  const [rank, value, share, name, mark] = ["b", "span", "span", "span", "em"].map((tag) => make(tag));
  const told = make("div", { class: "mm-told" }, rank, value, share, name, mark);
  const node = make("li", {}, canvas, make("div", { class: "mm-track", "aria-hidden": "true" }, bar), told);
  const show = (all, picture, i, text, remark, { cosines, shares }) => {
    canvas.getContext("2d").drawImage(all, picture * width, 0, width, height, 0, 0, width, height);
    canvas.setAttribute("aria-label", text);
    rank.textContent = `${i + 1}. `;
    value.textContent = `cosine ${fixed(cosines[picture])}`;
    share.textContent = `share ${percent(shares[picture])}`;
    [name.textContent, mark.textContent] = [text, remark];
    bar.style.width = `${100 * clamp(cosines[picture], 0, 1)}%`;
    Object.assign(node.dataset, { picture, cosine: cosines[picture].toFixed(7), share: shares[picture].toFixed(7) });
  };
  return { node, show };
}

// The words of the caption, each shaded by what its absence costs the best picture.
function wordStrip() {
  const list = make("ul", { class: "mm-drops", "aria-label": "How much the best picture's cosine falls without each word" });
  const lone = make("p", { class: "mm-hint" }, "A caption of one word has nothing to leave out.");
  const about = make("p", { class: "mm-hint" }, LEAVE_ONE_OUT);
  const node = make("div", {}, make("p", { class: "mm-title" }, "Which words matter: the best picture's cosine without each"), list, lone, about);
  const show = (words, drops) => {
    lone.hidden = drops.length > 0;
    list.hidden = about.hidden = !drops.length;
    const most = Math.max(...drops.map(Math.abs), 1e-9);
    list.replaceChildren(
      ...drops.map((drop, i) => {
        const size = Math.abs(drop).toFixed(2);
        const number = size === "0.00" ? size : (drop > 0 ? "−" : "+") + size;
        const item = make("li", { "data-drop": drop.toFixed(7), class: drop < 0 ? "mm-rises" : "" }, make("b", {}, words[i]), make("span", {}, number));
        item.style.setProperty("--mm-share", `${Math.round(32 * Math.max(0, drop / most))}%`);
        return item;
      }),
    );
  };
  return { node, show };
}

const LEAVE_ONE_OUT =
  "The number below a word is what the cosine gains (+) or loses (−) when the word is left out and all else stays; the deeper the colour, the larger the loss. " +
  "That is a fact about this number, not about what the model thinks: a word whose message another word repeats can show 0, and a shortened caption may be one that training never had.";

// The words; then without the first, without the second …; one word stays alone.
function withoutEach(words) {
  if (words.length < 2) return [words];
  return [words, ...words.map((_, i) => words.filter((_, j) => j !== i))];
}

// Cosines of the pictures with a caption, shares at the model's scale, pictures by falling cosine,
// and by how much the best one's cosine falls for each of the other vectors.
function matched([whole, ...others], pictures, scale) {
  const cosines = pictures.map((vector) => dot(vector, whole));
  const order = cosines.map((_, i) => i).sort((a, b) => cosines[b] - cosines[a] || a - b);
  const best = order[0];
  const drops = others.map((vector) => cosines[best] - dot(pictures[best], vector));
  return { cosines, order, drops, shares: softmax(cosines.map((x) => scale * x)) };
}

function sentence(caption, { cosines, order, drops, shares }, names, model) {
  const best = order[0];
  const said = `“${caption}” fits “${names[best]}” best: cosine ${fixed(cosines[best])}, ${percent(shares[best])} among ${cosines.length} pictures.`;
  const asked = ` Asked: ${model}.`;
  if (!drops.length) return said + asked;
  const most = Math.max(...drops);
  if (most <= 0) return `${said} It does not fall, whichever word is left out.${asked}`;
  return `${said} It falls most, by ${fixed(most)}, without “${caption.split(" ")[drops.indexOf(most)]}”.${asked}`;
}

export { matched, sentence, textReader, withoutEach };
export default { render };
