/** The page's places, and their addresses. Pure. The server answers /h5 and /h5/c/<id>, so the rest is a query. */

export type Route =
  | { page: "start" }
  | { page: "first"; category: string; previous: string | null }
  | { page: "conversation"; conv: string }
  | { page: "history" }
  | { page: "login"; why: string };

export function routeOf(path: string, query: string): Route {
  const conv = /^\/h5\/c\/([^/]+)\/?$/.exec(path)?.[1];
  if (conv) return { page: "conversation", conv: decoded(conv) };
  const asked = new URLSearchParams(query);
  if (asked.get("login") === "failed") return { page: "login", why: asked.get("why") ?? "" };
  if (asked.get("page") === "history") return { page: "history" };
  const category = asked.get("category");
  if (category) return { page: "first", category, previous: asked.get("previous") };
  return { page: "start" };
}

export function addressOf(route: Route): string {
  switch (route.page) {
    case "start":
      return "/h5";
    case "first":
      return `/h5?${firstQuery(route)}`;
    case "conversation":
      return `/h5/c/${encodeURIComponent(route.conv)}`;
    case "history":
      return "/h5?page=history";
    case "login":
      return `/h5?${new URLSearchParams({ login: "failed", why: route.why })}`;
  }
}

/** Where a login comes back to: never to the failed login itself. */
export function returnAddress(route: Route): string {
  return route.page === "login" ? "/h5" : addressOf(route);
}

function firstQuery(route: { category: string; previous: string | null }): URLSearchParams {
  const query = new URLSearchParams({ category: route.category });
  if (route.previous) query.set("previous", route.previous);
  return query;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
