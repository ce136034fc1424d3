import { WordReader } from "@tessera/text";

console.log([...new WordReader().read("Readers were reading")]);
