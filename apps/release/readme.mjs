export function readmeFiles() {}
