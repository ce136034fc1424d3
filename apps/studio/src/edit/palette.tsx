import { useId, useState } from "react";
import type { Operator } from "../api/types.js";
import { texts } from "../texts.js";

const order = [
  "indexing",
  "pre-retrieval",
  "retrieval",
  "post-retrieval",
  "generation",
  "orchestration",
  "data",
  "code",
];

/** The operators by module; one that is chosen is added to the flow. */
export function Palette({ operators, add }: { operators: readonly Operator[]; add: (operator: Operator) => void }) {
  const [search, setSearch] = useState("");
  const id = useId();
  const words = search.toLowerCase().split(/\s+/);
  const found = operators.filter(({ name, about }) =>
    words.every((word) => `${name} ${about.summary} ${about.submodule}`.toLowerCase().includes(word)),
  );
  return (
    <section className="palette stack" aria-label={texts.edit.palette}>
      <label className="visually-hidden" htmlFor={id}>
        {texts.edit.search}
      </label>
      <input
        id={id}
        type="search"
        className="input"
        placeholder={texts.edit.search}
        value={search}
        onChange={({ target }) => setSearch(target.value)}
      />
      {order.map((module) => {
        const here = found.filter(({ about }) => about.module === module);
        return here.length === 0 ? null : (
          <details key={module} open={search !== "" || module === "retrieval"}>
            <summary>
              {module} <span className="muted small">{here.length}</span>
            </summary>
            <ul>
              {here.map((operator) => (
                <li key={operator.name}>
                  <button type="button" className="pick" title={operator.about.summary} onClick={() => add(operator)}>
                    {operator.name}
                  </button>
                </li>
              ))}
            </ul>
          </details>
        );
      })}
    </section>
  );
}
