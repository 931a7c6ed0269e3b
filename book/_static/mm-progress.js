// "What you can do now": keeps the ticks of each lesson in this browser, and shows them again on
// the chapter pages and on the road map. Without a storage the boxes still work, for a while.
(() => {
  "use strict";

  const KEY = "mmcourse:ticks:";

  // What is kept of a lesson: the ticked outcomes, and how many there are.
  function read(lesson) {
    try {
      const kept = JSON.parse(localStorage.getItem(KEY + lesson));
      return Array.isArray(kept?.ticked) && kept.of > 0 ? kept : null;
    } catch {
      return null; // no storage, or not our writing
    }
  }

  function write(lesson, kept) {
    try {
      localStorage.setItem(KEY + lesson, JSON.stringify(kept));
      return true;
    } catch {
      return false;
    }
  }

  function keeps() {
    const works = write("", "");
    if (works) localStorage.removeItem(KEY);
    return works;
  }

  const boxesOf = (list) => [...list.querySelectorAll("input[data-mm-tick]")];

  // ---- in a lesson ----

  function count(list, keeps) {
    const boxes = boxesOf(list);
    const ticked = boxes.filter((box) => box.checked).length;
    const line = list.querySelector(".mm-tick-count");
    line.textContent = `${ticked} of ${boxes.length} ticked. ` +
      (keeps ? "This is kept in this browser only." : "This browser does not keep it.");
    line.hidden = false;
  }

  function change(list) {
    const boxes = boxesOf(list);
    const ticked = boxes.filter((box) => box.checked).map((box) => box.dataset.mmTick);
    count(list, write(list.dataset.mmLesson, { ticked, of: boxes.length }));
  }

  // Outcomes are known by their words: one that was rewritten is to be ticked anew.
  function fill(list) {
    const kept = read(list.dataset.mmLesson);
    for (const box of boxesOf(list)) box.checked = !!kept?.ticked.includes(box.dataset.mmTick);
    count(list, keeps());
  }

  // ---- on the chapter pages and on the road map ----

  const lessonOf = (link) => /(\d\d_\w+)\.html/.exec(link.getAttribute("href") || "")?.[1];

  function words(kept) {
    const ticked = kept.ticked.length;
    return ticked === kept.of ? `✓ all ${ticked}` : `${ticked} of ${kept.of}`;
  }

  // Says something in the place of what the page says, and takes it back when there is nothing.
  function say(place, text) {
    place.dataset.mmPlain ??= place.textContent;
    place.textContent = text ?? place.dataset.mmPlain;
  }

  function fillTables() {
    for (const row of document.querySelectorAll("table.mm-lessons tbody tr")) {
      const link = row.querySelector("a[href]");
      const kept = link && read(lessonOf(link));
      const state = row.lastElementChild.querySelector("p") || row.lastElementChild;
      if (link) say(state, kept?.ticked.length ? words(kept) : null);
    }
  }

  function fillMap() {
    const parts = document.querySelectorAll("details.mm-words ol > li");
    document.querySelectorAll(".mm-roadmap .mm-station").forEach((station, index) => {
      const links = [...(parts[index]?.querySelectorAll("a[href]") || [])];
      const kept = links.map((link) => read(lessonOf(link)));
      links.forEach((link, i) => {
        link.dataset.mmPlain ??= link.textContent;
        link.textContent = link.dataset.mmPlain + (kept[i]?.ticked.length ? ` (${words(kept[i])} ticked)` : "");
      });
      const done = kept.filter((one) => one && one.ticked.length === one.of).length;
      const begun = kept.filter((one) => one?.ticked.length).length;
      const state = done ? `${done} of ${links.length} lessons done` : `${begun} of ${links.length} lessons begun`;
      say(station.querySelector(".mm-note"), begun ? state : null);
    });
  }

  function show() {
    document.querySelectorAll(".mm-ticks").forEach(fill);
    fillTables();
    fillMap();
  }

  function start() {
    for (const list of document.querySelectorAll(".mm-ticks")) {
      list.addEventListener("change", () => change(list));
    }
    show();
    window.addEventListener("storage", show); // ticked in another window
    window.addEventListener("pageshow", (event) => event.persisted && show()); // on the way back
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
