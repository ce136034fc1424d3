/** Whether a line is empty or white space. */
export const isBlank = (line: string): boolean => line.trim() === "";

/** Whether a line says anything: a letter or a digit, not brackets alone. */
export const hasWords = (line: string): boolean => /[\p{L}\p{N}]/u.test(line);
