import { useId, useState } from "react";
import type { Json, Schema } from "../api/types.js";
import { texts } from "../texts.js";

interface FieldProps {
  readonly name: string;
  readonly schema: Schema;
  readonly value: Json | undefined;
  readonly change: (value: Json | undefined) => void;
  readonly required: boolean;
  readonly autoFocus?: boolean;
}

const hintOf = ({ default: preset, description, minimum, maximum }: Schema, required: boolean): string =>
  [
    description,
    preset === undefined ? undefined : texts.form.default(JSON.stringify(preset)),
    required ? texts.form.required : undefined,
    minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER ? `≥ ${minimum}` : undefined,
    maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? `≤ ${maximum}` : undefined,
  ]
    .filter((part) => part !== undefined)
    .join(" · ");

/** A schema of one kind: of several it is the first that is no null. */
export function plainSchema(schema: Schema): Schema {
  if (!schema.anyOf) return schema;
  const kinds = schema.anyOf.filter(({ type }) => type !== "null");
  return kinds.length === 1 ? { ...schema, ...kinds[0] } : { ...schema, type: "json" };
}

function JsonInput({ id, value, change, describedBy }: JsonInputProps) {
  const [typed, setTyped] = useState(() => (value === undefined ? "" : JSON.stringify(value, undefined, 2)));
  const [isWrong, setWrong] = useState(false);
  return (
    <>
      <textarea
        id={id}
        className="input mono"
        rows={Math.min(10, Math.max(2, typed.split("\n").length))}
        value={typed}
        aria-invalid={isWrong}
        aria-describedby={describedBy}
        onChange={({ target }) => {
          setTyped(target.value);
          if (target.value.trim() === "") {
            setWrong(false);
            return change(undefined);
          }
          try {
            change(JSON.parse(target.value) as Json);
            setWrong(false);
          } catch {
            setWrong(true);
          }
        }}
      />
      {isWrong && <small role="alert">{texts.form.badJson}</small>}
    </>
  );
}
interface JsonInputProps {
  readonly id: string;
  readonly value: Json | undefined;
  readonly change: (value: Json | undefined) => void;
  readonly describedBy: string;
}

function Choice({
  id,
  schema,
  value,
  change,
  required,
  describedBy,
}: JsonInputProps & { schema: Schema; required: boolean }) {
  return (
    <select
      id={id}
      className="input"
      aria-describedby={describedBy}
      value={value === undefined ? "" : JSON.stringify(value)}
      onChange={({ target }) => change(target.value === "" ? undefined : (JSON.parse(target.value) as Json))}
    >
      {(!required || value === undefined) && <option value="">{texts.form.unset}</option>}
      {schema.enum!.map((one) => (
        <option key={JSON.stringify(one)} value={JSON.stringify(one)}>
          {String(one)}
        </option>
      ))}
    </select>
  );
}

function TextInput({
  id,
  value,
  change,
  describedBy,
  autoFocus,
}: JsonInputProps & { autoFocus?: boolean | undefined }) {
  const text = typeof value === "string" ? value : "";
  return (
    <textarea
      id={id}
      className="input"
      rows={Math.min(12, Math.max(1, text.split("\n").length, Math.ceil(text.length / 60)))}
      value={text}
      // biome-ignore lint/a11y/noAutofocus: the one field of a form that was just opened
      autoFocus={autoFocus}
      aria-describedby={describedBy}
      onChange={({ target }) => change(target.value === "" ? undefined : target.value)}
    />
  );
}

/** One field of a form, by the JSON Schema of its value. What has no form of its own is written as JSON. */
export function SchemaField({ name, schema: given, value, change, required, autoFocus }: FieldProps) {
  const id = useId();
  const schema = plainSchema(given);
  const hint = hintOf(given, required);
  const describedBy = `${id}-hint`;
  const parts = { id, value, change, describedBy };
  if (schema.type === "boolean")
    return (
      <div className="field">
        <label className="row tight" htmlFor={id}>
          <input
            id={id}
            type="checkbox"
            checked={value === undefined ? schema.default === true : value === true}
            aria-describedby={describedBy}
            onChange={({ target }) => change(target.checked)}
          />
          {name}
        </label>
        <small id={describedBy}>{hint}</small>
      </div>
    );
  return (
    <div className="field">
      <label htmlFor={id}>{name}</label>
      {schema.enum ? (
        <Choice {...parts} schema={schema} required={required} />
      ) : schema.type === "string" ? (
        <TextInput {...parts} autoFocus={autoFocus} />
      ) : schema.type === "number" || schema.type === "integer" ? (
        <input
          id={id}
          className="input"
          type="number"
          step={schema.type === "integer" ? 1 : "any"}
          value={typeof value === "number" ? value : ""}
          placeholder={schema.default === undefined ? undefined : String(schema.default)}
          aria-describedby={describedBy}
          onChange={({ target }) => change(target.value === "" ? undefined : target.valueAsNumber)}
        />
      ) : (
        <JsonInput {...parts} />
      )}
      <small id={describedBy}>{hint}</small>
    </div>
  );
}

export type Values = Readonly<Record<string, Json>>;

/** A form of the properties of an object. */
export function SchemaForm(props: {
  schema: Schema;
  values: Values;
  change: (values: Values) => void;
  autoFocus?: boolean;
}) {
  const { schema, values, change, autoFocus = false } = props;
  const needed = new Set(schema.required ?? []);
  const names = Object.keys(schema.properties ?? {});
  const set = (name: string, value: Json | undefined) => {
    const { [name]: _, ...others } = values;
    change(value === undefined ? others : { ...values, [name]: value });
  };
  return (
    <div className="stack">
      {names
        .sort((a, b) => Number(needed.has(b)) - Number(needed.has(a)))
        .map((name, index) => (
          <SchemaField
            key={name}
            name={name}
            schema={schema.properties![name]!}
            value={values[name]}
            required={needed.has(name)}
            autoFocus={autoFocus && index === 0}
            change={(value) => set(name, value)}
          />
        ))}
    </div>
  );
}
