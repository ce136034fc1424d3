import { useState } from "react";
import { ask } from "../api/client.js";
import { texts } from "../texts.js";
import { ErrorNote } from "../ui/parts.js";
import { useLoaded, useWork } from "../ui/use.js";

/** Marks an answer right or wrong, into a data set of the folder, which flows can be measured on. */
export function MarkAnswer({ question, cited, run }: { question: string; cited: readonly string[]; run: string }) {
  const [said, setSaid] = useState<"right" | "wrong">();
  const [set, setSet] = useState("marked");
  const { busy, error, work } = useWork();
  const { value } = useLoaded(() => ask<{ sets: { name: string }[] }>("/studio/data").catch(() => undefined), []);
  if (!value) return null;
  const isName = /^[A-Za-z][\w-]{0,63}$/.test(set);
  const mark = (right: boolean) =>
    work(async () => {
      await ask(`/studio/data/${set}/marks`, { method: "POST", body: { question, right, cited, run } });
      setSaid(right ? "right" : "wrong");
    });
  return (
    <section className="stack tight mark" aria-label={texts.mark.title}>
      <div className="row">
        <span className="label">{texts.mark.title}</span>
        {(["right", "wrong"] as const).map((one) => (
          <button
            key={one}
            type="button"
            className="button small"
            aria-pressed={said === one}
            disabled={busy || !isName}
            onClick={() => mark(one === "right")}
          >
            {texts.mark[one]}
          </button>
        ))}
        <label className="row tight small">
          <span className="muted">{texts.mark.into}</span>
          <input
            className="input narrow"
            list="sets"
            value={set}
            aria-invalid={!isName}
            onChange={({ target }) => setSet(target.value)}
          />
        </label>
        <datalist id="sets">
          {value.sets.map(({ name }) => (
            <option key={name} value={name} />
          ))}
        </datalist>
      </div>
      <p className="small muted" role="status">
        {said && texts.mark.said(said, set)}
      </p>
      {error && <ErrorNote finding={error} />}
    </section>
  );
}
