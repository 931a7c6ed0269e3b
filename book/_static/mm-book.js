// What the theme leaves to be done: what scrolls can be reached from the keyboard, and every
// part of the page lies in a landmark.
(() => {
  "use strict";

  const names = [
    [".bd-article div.math", "equation"],
    [".bd-article mjx-container.book-wide", "formula"],
    [".bd-article .book-scroll", "table"],
    [".bd-article .pst-scrollable-table-container", "table"],
    [".bd-article pre", "code"],
    [".bd-article figure.mm-figure", "figure"],
    [".bd-article .cell_output .output", "output"],
  ];

  // A table gets a box of its own to scroll in, unless the theme already gave it one.
  function wrapTables() {
    for (const table of document.querySelectorAll(".bd-article table")) {
      if (table.closest(".book-scroll, .mm-table, .mm-widget, .pst-scrollable-table-container")) continue;
      const box = document.createElement("div");
      box.className = "book-scroll";
      table.replaceWith(box);
      box.append(table);
    }
  }

  // A corner cell without words is no header.
  function emptyCorners() {
    for (const head of document.querySelectorAll(".bd-article th")) {
      if (head.textContent.trim()) continue;
      const cell = document.createElement("td");
      head.replaceWith(cell);
    }
  }

  // A formula within a line that is longer than the line gets a box of its own to scroll in.
  function longFormulas() {
    for (const formula of document.querySelectorAll("p mjx-container, li mjx-container")) {
      if (formula.getAttribute("display") === "true") continue;
      const room = formula.closest("p, li, td, dd").clientWidth;
      const drawn = formula.querySelector("svg");
      if (!room || !drawn) continue;
      formula.classList.toggle("book-wide", drawn.getBoundingClientRect().width > room);
    }
  }

  // On which sides of a figure there is more: style sheets fade it out there.
  function fade(figure) {
    const rest = figure.scrollWidth - figure.clientWidth - figure.scrollLeft;
    const sides = [figure.scrollLeft > 1 && "left", rest > 1 && "right"];
    figure.dataset.bookMore = sides.filter(Boolean).join(" ");
  }

  function update() {
    longFormulas();
    for (const [selector, name] of names) {
      for (const box of document.querySelectorAll(selector)) {
        const scrolls = box.scrollWidth > box.clientWidth; // one pixel is enough for a region that scrolls
        if (scrolls) {
          box.tabIndex = 0;
          box.setAttribute("role", "group");
          box.setAttribute("aria-label", `${name}, scrolls sideways`);
          box.dataset.bookScrolls = "";
        } else if ("bookScrolls" in box.dataset) {
          box.removeAttribute("tabindex");
          box.removeAttribute("role");
          box.removeAttribute("aria-label");
          delete box.dataset.bookScrolls;
        }
        if (name === "figure") {
          fade(box);
          box.onscroll = () => fade(box);
        }
      }
    }
  }

  // Maths and widgets are drawn after the page is there and push down what a link pointed at:
  // go there again, unless the reader has meanwhile moved.
  function settle() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    let moved = false;
    for (const event of ["wheel", "touchstart", "keydown", "pointerdown"]) {
      window.addEventListener(event, () => (moved = true), { once: true, passive: true });
    }
    const go = () => !moved && target.scrollIntoView({ behavior: "instant" });
    const watch = new ResizeObserver(go);
    watch.observe(document.querySelector(".bd-article"));
    setTimeout(() => watch.disconnect(), 4000);
  }

  // On a phone the list of headings lies over the page: it goes when a heading is chosen.
  function closeDrawer() {
    const dialog = document.getElementById("pst-secondary-sidebar-modal");
    dialog?.addEventListener("click", (event) => event.target.closest("a[href^='#']") && dialog.close());
  }

  // The list of pages, which lies over a narrow page, opens where the reader is.
  function openHere() {
    const dialog = document.getElementById("pst-primary-sidebar-modal");
    const here = () => dialog.open && dialog.querySelector(".current.active")?.scrollIntoView({ block: "center" });
    if (dialog) new MutationObserver(here).observe(dialog, { attributes: true, attributeFilter: ["open"] });
  }

  // The title above the chapter list belongs to a landmark, like everything else on the page.
  function nameTitle() {
    const title = document.querySelector(".sidebar-primary-item:has(> .navbar-brand)");
    if (!title) return;
    title.setAttribute("role", "navigation");
    title.setAttribute("aria-label", "Start of the book");
  }

  function start() {
    nameTitle();
    settle();
    closeDrawer();
    openHere();
    emptyCorners();
    wrapTables();
    update();
    window.addEventListener("resize", update);
    const maths = window.MathJax && window.MathJax.startup && window.MathJax.startup.promise;
    if (maths) maths.then(update);
    window.addEventListener("load", update);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
