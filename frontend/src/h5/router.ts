/** The present place, kept in the browser's history so that "back" does what a person expects. */
import { type ShallowRef, shallowRef } from "vue";
import { addressOf, type Route, routeOf } from "./route";

export interface Router {
  route: Readonly<ShallowRef<Route>>;
  go(route: Route): void;
  /** As `go`, but "back" does not return here. */
  replace(route: Route): void;
}

export function createRouter(): Router {
  const here = () => routeOf(location.pathname, location.search);
  const route = shallowRef(here());
  // What a login leaves behind (a code, WeCom's fragment) is not kept in the address.
  history.replaceState(null, "", addressOf(route.value));
  window.addEventListener("popstate", () => {
    route.value = here();
  });
  return {
    route,
    go(next) {
      history.pushState(null, "", addressOf(next));
      route.value = next;
    },
    replace(next) {
      history.replaceState(null, "", addressOf(next));
      route.value = next;
    },
  };
}
