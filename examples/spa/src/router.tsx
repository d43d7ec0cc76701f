// The routes of the page, with the browser's own history. Five routes need no library.
import { useSyncExternalStore, type ComponentProps, type MouseEvent } from "react";

/** The routes. The API serves index.html for these paths and no others: routes in api/files.go. */
export const paths = ["/", "/callback", "/notes", "/profile", "/signed-out"] as const;
export type Path = (typeof paths)[number];

/** The path if it is one of ours, else undefined. */
export function ours(path: string): Path | undefined {
  return paths.find((p) => p === path);
}

const changed = "acme:route";

/** Goes to a route. With replace, the present one is no entry of the history. */
export function go(path: Path, options: { replace?: boolean } = {}): void {
  history[options.replace ? "replaceState" : "pushState"](null, "", path);
  window.dispatchEvent(new Event(changed));
}

function subscribe(listener: () => void): () => void {
  for (const event of ["popstate", changed]) window.addEventListener(event, listener);
  return () => {
    for (const event of ["popstate", changed]) window.removeEventListener(event, listener);
  };
}

/** The path of the page. */
export function usePath(): string {
  return useSyncExternalStore(subscribe, () => location.pathname);
}

/** A link to a route, which loads nothing. With a modifier key it is a link as any other. */
export function Link({ to, ...rest }: { to: Path } & Omit<ComponentProps<"a">, "href" | "onClick">) {
  const follow = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    if (location.pathname !== to) window.scrollTo(0, 0);
    go(to);
  };
  return <a {...rest} href={to} onClick={follow} aria-current={usePath() === to ? "page" : undefined} />;
}
