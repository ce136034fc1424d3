import type { ReactNode } from "react";

/** A table that scrolls sideways where it is too wide. A column of numbers is set to the right. */
export function Table(props: {
  head: readonly (string | { readonly number: string })[];
  caption?: string;
  className?: string;
  children: ReactNode;
}) {
  const { head, caption, className = "", children } = props;
  return (
    <div className="scroll">
      <table className={`table ${className}`}>
        {caption !== undefined && <caption className="visually-hidden">{caption}</caption>}
        <thead>
          <tr>
            {head.map((title) =>
              typeof title === "string" ? (
                <th key={title} scope="col">
                  {title}
                </th>
              ) : (
                <th key={title.number} scope="col" className="number">
                  {title.number}
                </th>
              ),
            )}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
