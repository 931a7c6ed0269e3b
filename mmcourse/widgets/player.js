// For what moves by itself.

// A button that moves a position on by itself until the end. Playing is the reader's own doing,
// never the page's, and slower where motion is unwelcome. `now()` and `go(position)`; `last` is
// the final position, `pace` the milliseconds between two.
function player(view, { now, go, last, pace }) {
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    view.redraw();
  };
  const move = () => {
    if (now() < last) go(now() + 1);
    if (now() === last) stop();
  };
  const play = () => {
    if (timer) return stop();
    if (now() === last) go(0);
    timer = setInterval(move, still.matches ? 1000 : clamp(pace, 80, 400));
    view.redraw();
  };
  const button = make("button", { class: "mm-button mm-play", type: "button", onclick: play });
  view.tidy(() => clearInterval(timer));
  view.updates.push(() => {
    button.textContent = timer ? "❚❚ Pause" : "▶ Play";
    // While it plays the sentence follows silently; it is read out once it stands.
    view.summary.setAttribute("aria-live", timer ? "off" : "polite");
  });
  return button;
}
