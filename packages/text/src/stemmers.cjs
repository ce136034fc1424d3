// the stems of each language but English, which every program needs, and Korean, which has its own: some kilobytes of
// code each, run when the language is first met
module.exports = {
  ar: () => require("@orama/stemmers/arabic").stemmer,
  bg: () => require("@orama/stemmers/bulgarian").stemmer,
  da: () => require("@orama/stemmers/danish").stemmer,
  de: () => require("@orama/stemmers/german").stemmer,
  el: () => require("@orama/stemmers/greek").stemmer,
  es: () => require("@orama/stemmers/spanish").stemmer,
  fi: () => require("@orama/stemmers/finnish").stemmer,
  fr: () => require("@orama/stemmers/french").stemmer,
  hi: () => require("@orama/stemmers/indian").stemmer,
  hu: () => require("@orama/stemmers/hungarian").stemmer,
  it: () => require("@orama/stemmers/italian").stemmer,
  nl: () => require("@orama/stemmers/dutch").stemmer,
  no: () => require("@orama/stemmers/norwegian").stemmer,
  pt: () => require("@orama/stemmers/portuguese").stemmer,
  ro: () => require("@orama/stemmers/romanian").stemmer,
  ru: () => require("@orama/stemmers/russian").stemmer,
  sv: () => require("@orama/stemmers/swedish").stemmer,
  ta: () => require("@orama/stemmers/tamil").stemmer,
  tr: () => require("@orama/stemmers/turkish").stemmer,
  uk: () => require("@orama/stemmers/ukrainian").stemmer,
};
