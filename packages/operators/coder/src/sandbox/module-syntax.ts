/** `import` or `export` at the beginning of a line. No white space over lines: from each of a million empty ones the rest would be searched. */
export const moduleSyntax = /^[ \t]*(import|export)\b/m;
