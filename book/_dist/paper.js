// Makes a page of the built book ready for paper. `about` says which page it is:
//   name: "notebooks/31_attention"; pages: {address without fragment: name of the page};
//   wanted: ids of this page that other pages point to; here: the address that stands for the book.
(() => {
  "use strict";

  const article = () => document.querySelector(".bd-article");
  const all = (selector) => [...article().querySelectorAll(selector)];

  function make(tag, className, ...children) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    node.append(...children);
    return node;
  }

  // Waits until maths, widgets and pictures are there; returns how many widgets are not.
  async function ready() {
    await window.MathJax?.startup?.promise;
    await document.fonts.ready;
    const pictures = [...document.images];
    for (const picture of pictures) picture.loading = "eager";
    await Promise.all(pictures.map((picture) => picture.decode().catch(() => {})));
    const views = document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]');
    const alive = () => [...document.querySelectorAll(".mm-host")].filter((host) => host.clientHeight > 20);
    const failed = () => document.querySelectorAll(".mm-failed").length;
    const end = performance.now() + 20000;
    while (alive().length < views.length && !failed() && performance.now() < end) {
      await new Promise((done) => setTimeout(done, 50));
    }
    await new Promise((done) => setTimeout(done, 300)); // widgets draw in the frame after
    return views.length - alive().length + failed();
  }

  // A widget becomes the picture that was taken of it.
  function picture(index, data, alt) {
    const image = make("img");
    image.src = `data:image/png;base64,${data}`;
    image.alt = alt;
    const note = make("figcaption", "", "Interactive in the book’s pages; here as it starts.");
    document.querySelectorAll(".mm-host")[index].replaceChildren(make("figure", "paper-widget", image, note));
    return image.decode();
  }

  // The choices of a question stay where they are; what is said to each goes to the end.
  function answers() {
    const questions = all(".admonition.quiz");
    if (!questions.length) return;
    const section = make("section", "paper-answers", make("h2", "", "Answers"));
    for (const question of questions) {
      const title = question.querySelector(".admonition-title").cloneNode(true);
      section.append(make("h3", "", ...title.childNodes));
      for (const details of question.querySelectorAll("details")) {
        const summary = details.querySelector("summary");
        const text = summary.querySelector(".sd-summary-text") ?? summary;
        const choice = make("p", "paper-choice", ...[...text.childNodes]);
        const letter = /^\s*([A-Z])\)/.exec(choice.textContent)?.[0] ?? "–";
        summary.remove();
        section.append(make("div", "paper-answer", make("strong", "", letter.trim()), make("div", "", ...details.childNodes)));
        details.replaceWith(choice);
      }
    }
    (article().querySelector(":scope > section") ?? article()).append(section);
  }

  // What is folded away: code that only draws stays away, all else is opened.
  function unfold() {
    for (const details of all(".cell details.hide")) details.remove();
    for (const details of all("details")) {
      details.open = true;
      details.removeAttribute("name"); // one of a group closes the others
    }
  }

  const mark = (name, id) => `${name}--${id}`.replaceAll("/", "-");

  // Links within the book lead to places of one PDF; those to other files lose their target.
  function links({ name, pages, wanted, here }) {
    const targets = new Set(wanted);
    for (const link of all("a[href]")) {
      const url = new URL(link.getAttribute("href"), location.href);
      if (url.protocol !== "file:") continue;
      const id = decodeURIComponent(url.hash.slice(1));
      const page = pages[url.href.replace(/#.*/, "")];
      if (page === name && id) {
        targets.add(id);
        link.setAttribute("href", `#${mark(name, id)}`);
      } else if (page) {
        link.setAttribute("href", `${here}${id ? mark(page, id) : ""}?${page}`);
      } else {
        link.removeAttribute("href");
      }
    }
    // Chromium notes the place of what a link of the same page points to, and of nothing else.
    const index = make("div", "paper-index");
    for (const id of targets) {
      const target = document.getElementById(id);
      if (!target) continue;
      const anchor = make("span", "paper-anchor");
      anchor.id = mark(name, id);
      if (target instanceof HTMLElement && !["IMG", "TABLE", "DL", "UL", "OL"].includes(target.tagName)) target.prepend(anchor);
      else (target.closest("p, figure, div, section") ?? target).before(anchor);
      const link = make("a", "", ".");
      link.href = `#${anchor.id}`;
      index.append(link);
    }
    article().append(index);
  }

  // What is wider than the paper becomes smaller.
  function fit() {
    for (const box of all(".book-scroll, .mm-table, .pst-scrollable-table-container, .cell_output .output")) {
      const factor = box.clientWidth / box.scrollWidth;
      if (factor < 0.999) for (const child of box.children) child.style.zoom = Math.max(factor - 0.005, 0.4);
    }
    const room = article().clientWidth;
    for (const formula of all("mjx-container > svg")) {
      const width = formula.getBoundingClientRect().width;
      const space = formula.closest("p, li, td, dd, div")?.clientWidth || room;
      if (width > space) formula.style.cssText += `; width: ${space}px; height: auto`;
    }
  }

  window.paper = {
    ready,
    picture,
    prepare(about) {
      answers();
      unfold();
      links(about);
    },
    fit,
  };
})();
