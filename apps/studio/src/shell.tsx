import { Component, lazy, type ReactNode, Suspense, useEffect, useState, useSyncExternalStore } from "react";
import { findingOf, hasKey, onKey, setKey } from "./api/client.js";
import type { Finding } from "./api/types.js";
import icon from "./icon.svg";
import { to, useRoute } from "./route.js";
import { Start } from "./start/start.js";
import { texts } from "./texts.js";
import { ErrorNote, Loading } from "./ui/parts.js";

const FlowsPage = lazy(() => import("./flows/flows-page.js"));
const EvaluatePage = lazy(() => import("./evaluate/evaluate-page.js"));
const TunePage = lazy(() => import("./tune/tune-page.js"));
const EditPage = lazy(() => import("./edit/edit-page.js"));
const IndexPage = lazy(() => import("./index/index-page.js"));
const RunsPage = lazy(() => import("./runs/runs-page.js"));
const ComparePage = lazy(() => import("./compare/compare-page.js"));
const RunPage = lazy(() => import("./runs/run-page.js"));

const places = [
  ["", texts.nav.start],
  ["flows", texts.nav.flows],
  ["runs", texts.nav.runs],
  ["edit", texts.nav.edit],
  ["index", texts.nav.index],
  ["evaluate", texts.nav.evaluate],
  ["tune", texts.nav.tune],
] as const;

/** The view of an address. */
function View() {
  const { parts, query } = useRoute();
  const [view = "", first, second] = parts;
  if (view === "") return <Start />;
  if (view === "flows") return <FlowsPage name={first} />;
  if (view === "runs" && first !== undefined) return <RunPage key={first} id={first} />;
  if (view === "runs") return <RunsPage />;
  if (view === "compare" && first !== undefined && second !== undefined)
    return <ComparePage key={`${first} ${second}`} a={first} b={second} />;
  if (view === "edit") return <EditPage key={first ?? ""} name={first} run={query.get("run") ?? undefined} />;
  if (view === "index") return <IndexPage />;
  if (view === "evaluate") return <EvaluatePage />;
  if (view === "tune") return <TunePage key={first ?? ""} id={first} />;
  return (
    <div className="page">
      <h1>{texts.nowhere}</h1>
      <p>
        <a href={to()}>{texts.nav.start}</a>
      </p>
    </div>
  );
}

const themes = ["system", "light", "dark"] as const;
type Theme = (typeof themes)[number];
const themeAt = "tessera.studio.theme";

function ThemeChoice() {
  const [theme, setTheme] = useState<Theme>(
    () => themes.find((one) => one === localStorage.getItem(themeAt)) ?? "system",
  );
  useEffect(() => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    localStorage.setItem(themeAt, theme);
  }, [theme]);
  return (
    <label>
      <span className="visually-hidden">{texts.theme.label}</span>
      <select className="input" value={theme} onChange={({ target }) => setTheme(target.value as Theme)}>
        {themes.map((one) => (
          <option key={one} value={one}>
            {texts.theme[one]}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Asks for a key where the page has none. */
function Gate({ refused }: { refused: Finding | undefined }) {
  const [typed, setTyped] = useState("");
  return (
    <main className="gate stack">
      <h1>{texts.gate.title}</h1>
      <p>{texts.gate.about}</p>
      {refused && <ErrorNote finding={refused} />}
      <form
        className="stack tight"
        onSubmit={(event) => {
          event.preventDefault();
          if (typed.trim() !== "") setKey(typed.trim(), { typed: true });
        }}
      >
        <label className="label" htmlFor="key">
          {texts.gate.key}
        </label>
        <input
          id="key"
          className="input mono"
          type="password"
          autoComplete="off"
          value={typed}
          onChange={({ target }) => setTyped(target.value)}
        />
        <button type="submit" className="button primary">
          {texts.gate.open}
        </button>
      </form>
    </main>
  );
}

/** Shows what went wrong in a view, and leaves the rest of the page usable. */
class Fence extends Component<{ children: ReactNode; place: string }, { thrown?: unknown; place: string }> {
  override state: { thrown?: unknown; place: string } = { place: this.props.place };

  static getDerivedStateFromError(thrown: unknown) {
    return { thrown };
  }

  static getDerivedStateFromProps({ place }: { place: string }, state: { place: string }) {
    return state.place === place ? null : { thrown: undefined, place };
  }

  override render() {
    if (this.state.thrown === undefined) return this.props.children;
    return (
      <div className="page">
        <ErrorNote finding={{ ...findingOf(this.state.thrown), code: "INTERNAL", hint: texts.broken }} />
      </div>
    );
  }
}

export function Shell({ refused }: { refused: Finding | undefined }) {
  const isOpen = useSyncExternalStore(onKey, hasKey);
  const { parts } = useRoute();
  const [view = ""] = parts;
  useEffect(() => {
    document.title = [parts.join(" / "), texts.title].filter(Boolean).join(" · ");
  }, [parts]);
  if (!isOpen) return <Gate refused={refused} />;
  return (
    <div className="shell">
      <button type="button" className="skip" onClick={() => document.getElementById("main")?.focus()}>
        {texts.skip}
      </button>
      <header className="rail">
        <a className="brand" href={to()}>
          <img src={icon} alt="" />
          <span>Tessera</span>
        </a>
        <nav aria-label={texts.nav.label}>
          <ul>
            {places.map(([place, title]) => (
              <li key={place}>
                <a href={place === "" ? to() : to(place)} aria-current={view === place ? "page" : undefined}>
                  {title}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <div className="foot">
          <ThemeChoice />
        </div>
      </header>
      <main id="main" className="main" tabIndex={-1}>
        <Fence place={parts.join("/")}>
          <Suspense
            fallback={
              <div className="page">
                <Loading />
              </div>
            }
          >
            <View />
          </Suspense>
        </Fence>
      </main>
    </div>
  );
}
