const codeLine =
  /[;{}]\s*$|^\s*[)\]}]+[;,]?\s*$|^\s*(?:def|fn|func|fun|function|class|struct|enum|trait|impl|module|defmodule|end|import|from|package|use|using|require|include|let|var|val|const|return|if|else|for|while|switch|case|try|catch|resource|variable|public|private|protected|static|void|int)\b[^.?!]*$|^\s*[\w.[\]"']+\s*(?:[-+*/|&]?=|:=|<-|=>|->)\s*\S|^\s*(?:#include|\/\/|--\s|@\w+)/;
const sentence = /^\s*\p{Lu}?[\p{Ll}'’,]+(?:\s+[\p{L}\p{N}'’,()-]+){4,}[.?!:]?\s*$/u;

/** Whether a text of no known language is code: most of its lines end, begin or assign as those of programs do. */
export function looksLikeCode(text: string): boolean {
  let code = 0;
  let prose = 0;
  for (const line of text.split(/\r\n?|\n/)) {
    if (!/\S/.test(line)) continue;
    if (codeLine.test(line)) code++;
    else if (sentence.test(line)) prose++;
    else prose += 0.5;
  }
  return code >= 3 && code > 1.5 * prose;
}
