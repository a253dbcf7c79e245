/**
 * The height that is really in sight. A phone's keyboard covers the page without resizing it
 * (iOS), and webviews before 2022 have no `dvh`; the visual viewport knows in both cases.
 */
export function followViewport(): void {
  const view = window.visualViewport;
  if (!view) return;
  const fit = () => {
    // Zoomed in by hand: the page keeps its size, or it would fight the fingers.
    if (view.scale > 1.01) return;
    const style = document.documentElement.style;
    style.setProperty("--app-height", `${view.height}px`);
    style.setProperty("--app-top", `${view.offsetTop}px`);
  };
  view.addEventListener("resize", fit);
  view.addEventListener("scroll", fit);
  fit();
}
