/** Whether the page is on screen. Only then may anything count as read. */
import { onScopeDispose, type Ref, ref } from "vue";

export function useVisible(): Readonly<Ref<boolean>> {
  const isVisible = ref(document.visibilityState === "visible");
  const look = () => {
    isVisible.value = document.visibilityState === "visible";
  };
  document.addEventListener("visibilitychange", look);
  window.addEventListener("pageshow", look);
  onScopeDispose(() => {
    document.removeEventListener("visibilitychange", look);
    window.removeEventListener("pageshow", look);
  });
  return isVisible;
}
