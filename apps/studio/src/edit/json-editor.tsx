import { autocompletion, type CompletionContext, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { json, jsonParseLinter } from "@codemirror/lang-json";
import { linter, lintGutter } from "@codemirror/lint";
import { searchKeymap } from "@codemirror/search";
import { EditorState } from "@codemirror/state";
import { EditorView, keymap } from "@codemirror/view";
import { useEffect, useRef } from "react";
import { lookOf } from "../source/code-look.js";

/** Completes the names of operators after "run", and otherwise the words that a document knows. */
const completing = (words: () => readonly string[]) => (context: CompletionContext) => {
  const word = context.matchBefore(/"[\w.<>-]*/);
  if (!word && !context.explicit) return null;
  const from = word ? word.from + 1 : context.pos;
  return { from, options: words().map((label) => ({ label })), validFor: /^[\w.-]*$/ };
};

/** A JSON text that is edited. `change` hears it when somebody typed; a text from outside replaces what differs. */
export default function JsonEditor(props: {
  text: string;
  label: string;
  words: readonly string[];
  change: (text: string) => void;
}) {
  const { text, label } = props;
  const holder = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(undefined);
  const latest = useRef(props);
  latest.current = props;
  const first = useRef(text);
  useEffect(() => {
    const made = new EditorView({
      parent: holder.current!,
      state: EditorState.create({
        doc: first.current,
        extensions: [
          ...lookOf(),
          json(),
          linter(jsonParseLinter()),
          lintGutter(),
          history(),
          autocompletion({ override: [completing(() => latest.current.words)] }),
          keymap.of([...defaultKeymap, ...historyKeymap, ...completionKeymap, ...searchKeymap]),
          EditorView.contentAttributes.of({ "aria-label": label }),
          EditorView.updateListener.of((update) => {
            if (
              update.docChanged &&
              update.transactions.some(
                (one) =>
                  one.isUserEvent("input") ||
                  one.isUserEvent("delete") ||
                  one.isUserEvent("undo") ||
                  one.isUserEvent("redo"),
              )
            )
              latest.current.change(update.state.doc.toString());
          }),
        ],
      }),
    });
    made.scrollDOM.tabIndex = 0; // what scrolls can be scrolled by keys
    view.current = made;
    return () => made.destroy();
  }, [label]);
  useEffect(() => {
    const editor = view.current;
    if (!editor) return;
    const before = editor.state.doc.toString();
    if (before === text) return;
    let from = 0;
    while (from < before.length && before[from] === text[from]) from++;
    let tail = 0;
    while (tail < Math.min(before.length, text.length) - from && before.at(-1 - tail) === text.at(-1 - tail)) tail++;
    editor.dispatch({ changes: { from, to: before.length - tail, insert: text.slice(from, text.length - tail) } });
  }, [text]);
  return <div className="code" ref={holder} />;
}
