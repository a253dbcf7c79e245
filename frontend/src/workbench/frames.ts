/** At most one call a frame, with the newest argument. A hidden page has no frames: there a timer stands in. */

export interface Framed<T> {
  (value: T): void;
  cancel(): void;
}

export function onNextFrame<T>(act: (value: T) => void): Framed<T> {
  let newest: { value: T } | null = null;
  let frame = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function run(): void {
    const due = newest;
    cancel();
    if (due) act(due.value);
  }

  function cancel(): void {
    newest = null;
    cancelAnimationFrame(frame);
    clearTimeout(timer);
  }

  function take(value: T): void {
    const isFirst = newest === null;
    newest = { value };
    if (!isFirst) return;
    frame = requestAnimationFrame(run);
    // Hiding the page between the request and the frame would hold the value back for good.
    timer = setTimeout(run, 100);
  }

  return Object.assign(take, { cancel });
}
