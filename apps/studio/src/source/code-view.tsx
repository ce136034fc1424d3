import { LanguageDescription } from "@codemirror/language";
import { languages } from "@codemirror/language-data";
import { Compartment, EditorState, type Extension, RangeSetBuilder } from "@codemirror/state";
import { Decoration, EditorView } from "@codemirror/view";
import { useEffect, useRef } from "react";
import { lookOf } from "./code-look.js";

/** The lines that are meant, shown in another colour. */
function markLines(lines: readonly [number, number]): Extension {
  return EditorView.decorations.of((view) => {
    const builder = new RangeSetBuilder<Decoration>();
    const last = Math.min(lines[1], view.state.doc.lines);
    for (let line = Math.max(1, lines[0]); line <= last; line++) {
      const { from } = view.state.doc.line(line);
      builder.add(from, from, Decoration.line({ class: "cm-meant" }));
    }
    return builder.finish();
  });
}

/** A text that can be read and not changed, with the colours of its language; `lines` are shown and scrolled to. */
export default function CodeView(props: { text: string; name: string; lines?: readonly [number, number] | undefined }) {
  const { text, name, lines } = props;
  const holder = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const language = new Compartment();
    const view = new EditorView({
      parent: holder.current!,
      state: EditorState.create({
        doc: text,
        extensions: [
          ...lookOf(),
          EditorState.readOnly.of(true),
          EditorView.contentAttributes.of({ "aria-label": name, "aria-readonly": "true" }),
          language.of([]),
          ...(lines ? [markLines(lines)] : []),
        ],
      }),
    });
    view.scrollDOM.tabIndex = 0; // what scrolls can be scrolled by keys
    const found = LanguageDescription.matchFilename(languages, name.split("/").at(-1)!);
    let current = true;
    void found?.load().then((support) => current && view.dispatch({ effects: language.reconfigure(support) }));
    if (lines) {
      const line = view.state.doc.line(Math.min(Math.max(1, lines[0]), view.state.doc.lines));
      view.dispatch({ effects: EditorView.scrollIntoView(line.from, { y: "start", yMargin: 48 }) });
    }
    return () => {
      current = false;
      view.destroy();
    };
  }, [text, name, lines]);
  return <div className="code" ref={holder} />;
}
