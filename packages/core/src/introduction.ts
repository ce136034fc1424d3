// internal: withoutIntroduction
/**
 * What a model said without lines at its beginning that only introduce it, such as "Sure, here you go:". Where nothing would
 * be left, the text stays.
 */
export function withoutIntroduction(text: string): string {
  const rest = text.replace(/^(?:\s*[^\n]{0,200}[:：][ \t]*(?:\*\*)?[ \t]*\r?\n){1,3}\s*/, "");
  return rest.trim() === "" ? text : rest;
}
