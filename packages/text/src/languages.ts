// public: Language, languages, functionWordsOf, languagesOf
/** The languages that Tessera knows words of, by their codes of ISO 639-1. */
export type Language = keyof typeof functionWords;

/**
 * The words of a language that say how a thing is said or asked, and not what about: articles, pronouns, prepositions,
 * conjunctions, auxiliary and question words. They tell the languages of a text apart, and never decide what is found.
 */
const functionWords = {
  ar: "في من على إلى عن ما ماذا متى أين كيف كم هل لماذا هو هي هذا هذه التي الذي أو و لا أن كان مع",
  bg: "и в на за с от да не се е са как какво кога къде колко кой защо ли по до при или че това който",
  da: `og i at er en et den det der de til på med for af som kan skal vil har var ikke hvad hvordan hvornår hvor hvem
    hvilken hvilke hvorfor jeg du vi man om fra sig eller blive bliver`,
  de: `der die das den dem des ein eine einen einem einer eines und oder aber ist sind war waren wird werden wurde wurden
    hat haben hatte kann können darf muss müssen soll sollen man ich du er sie es wir ihr sich mich mir uns ihn ihm ihnen
    mein meine sein seine nicht kein keine auf aus bei mit nach von vor zu zum zur im am in an um für über unter durch
    gegen ohne bis als wenn dass ob wie was wer wann wo warum wieso wohin woher welche welcher welches welchen wen wem
    wessen viel viele gibt es noch auch nur so da dann denn doch hier dort`,
  el: "ο η το οι τα του της των τον την τους τις και να με σε για από που τι πώς πότε πού πόσο ποιος ποια είναι θα δεν ένα μια στο στη στην",
  en: `a an and any are as at be been being but by can could did do does doing done each for from had has have how i if in
    into is it its many me more most much my of on one or our should so some such than that the their them then there these they this those
    to us was we were what when where which who whom whose why will with would you your`,
  es: `el la los las un una unos unas y o pero de del a al en con por para sin sobre entre es son era fue ser está están
    hay ha han se me te le lo su sus mi que qué como cómo cuando cuándo donde dónde cuál cuáles quién quiénes cuánto
    cuánta cuántos cuántas no sí más puede pueden debe este esta esto porque`,
  fi: `ja tai on ovat oli ei se ne hän minä sinä me te joka jotka että kun jos niin myös kuin miten mitä mikä mitkä
    milloin missä mistä mihin kuka kuinka paljonko montako miksi voi voiko onko saa saako`,
  fr: `le la les l un une des du de d au aux et ou mais est sont était être a ont avoir il elle ils elles on je tu nous
    vous se s ne n pas plus ce c cette ces cet son sa ses mon ma mes leur leurs que qu qui quoi quel quelle quels quelles
    comment quand où combien pourquoi dans sur sous avec sans pour par en y peut peuvent doit faut t j m à`,
  hi: "का के की को में से है हैं और या पर यह वह क्या कब कहाँ कैसे कितना कितने कौन क्यों ने था थे थी हो एक लिए तक",
  hu: `a az egy és vagy de hogy nem is van vannak volt ez ezek mi mit ki kit mikor hol hová honnan hogyan hány mennyi
    melyik milyen miért lehet kell meg el be ki le fel`,
  it: `il lo la i gli le l un uno una e o ma di del dello della dei degli delle d a al allo alla ai agli alle in nel nella
    nei nelle con su sul sulla per da dal dalla tra fra è sono era essere ha hanno si mi ti ci che chi cosa come quando
    dove quale quali quanto quanta quanti quante perché non più può possono deve questo questa`,
  ja: "は が を に へ で と の か も や から まで より です ます する した して ある いる れる られる た だ な て い ます ません でしょう いつ どこ 何 なに どう どの どれ だれ 誰 いくら いくつ なぜ できる",
  ko: "무엇 무엇을 무엇이 뭐 언제 어디 어디서 어디에 어떻게 얼마 얼마나 몇 누가 누구 왜 어떤 있나요 인가요 있습니까 됩니까 하나요 되나요 합니까 입니까 수 것 및 또는 그리고 이 그 저 할 하는 있는",
  nl: `de het een en of maar is zijn was waren wordt worden heeft hebben had kan kunnen mag moet moeten zal wil men ik je
    jij hij zij ze we wij u zich mijn niet geen op aan in uit bij met naar van voor te tot om over onder door tegen
    zonder als dat dit die deze er hoe wat wie wanneer waar waarom welke welk hoeveel ook nog`,
  no: `og i at er en et ei den det de til på med for av som kan skal vil har var ikke hva hvordan når hvor hvem hvilken
    hvilke hvorfor jeg du vi man om fra seg eller blir bli`,
  pl: `i w na z do nie się jest są był być to że o od po za przez dla jak co kto kiedy gdzie ile dlaczego czy który która
    które lub ale przy może ten ta`,
  pt: `o a os as um uma uns umas e ou mas de do da dos das em no na nos nas ao à com por pelo pela para sem sobre é são era
    foi ser está estão há tem têm se me lhe seu sua que quê como quando onde qual quais quem quanto quanta quantos quantas
    não mais pode podem deve este esta isto porque`,
  ro: `un o al ai ale și sau dar de din în la cu pe pentru prin este sunt era fi are au se îl ce care cine când unde cum
    cât câte câți de nu mai poate trebuie acest această`,
  ru: `и в на с по за от до из у о к не но или а что как когда где куда откуда сколько кто какой какая какие почему ли это
    этот эта эти он она оно они мы вы я быть был была было есть для при можно нужно же бы`,
  sv: `och i att är en ett den det de till på med för av som kan ska skall vill har var inte vad hur när var vart vem
    vilken vilket vilka varför jag du vi man om från sig eller blir bli finns`,
  ta: "ஒரு என்று மற்றும் இந்த அந்த என்ன எப்போது எங்கே எப்படி எத்தனை யார் ஏன் உள்ளது",
  th: "ที่ และ หรือ เป็น คือ ของ มี ใน กับ จาก โดย ให้ ได้ ไป มา จะ ต้อง ไม่ ก็ นี้ นั้น อะไร เมื่อไร เมื่อไหร่ ไหน อย่างไร ยังไง เท่าไร เท่าไหร่ กี่ ใคร ทำไม ไหม ถึง ว่า ซึ่ง ครับ ค่ะ",
  tr: `ve veya ile bir bu şu o da de mi mı mu mü için gibi kadar ne nasıl nerede nereye nereden kim kaç hangi neden niçin
    zaman var yok olan olarak daha çok en her`,
  uk: "і в на з по за від до із у о не але або що як коли де куди звідки скільки хто який яка які чому чи це цей він вона вони ми ви є для при можна та",
  zh: "的 了 吗 呢 吧 是 有 在 和 与 或 也 都 不 可以 能 能否 会 要 就 这 那 个 什么 怎么 怎样 如何 哪 哪里 哪儿 哪些 多少 几 谁 何时 为什么 是否 被 把 对 从 到 我 你 他 们 么",
} as const;

/** The languages whose function words are known, by their ISO 639-1 codes. */
export const languages = Object.keys(functionWords) as Language[];

const sets = new Map<Language, ReadonlySet<string>>();

/** The function words of a language, in lower case. */
export function functionWordsOf(language: Language): ReadonlySet<string> {
  let found = sets.get(language);
  if (!found) {
    found = new Set(functionWords[language].split(/\s+/));
    sets.set(language, found);
  }
  return found;
}

// a script that one language alone writes here, or that few do
const scripts: readonly (readonly [RegExp, readonly Language[]])[] = [
  [/\p{Script=Cyrillic}/u, ["ru", "uk", "bg"]],
  [/\p{Script=Greek}/u, ["el"]],
  [/\p{Script=Arabic}/u, ["ar"]],
  [/\p{Script=Devanagari}/u, ["hi"]],
  [/\p{Script=Tamil}/u, ["ta"]],
  [/\p{Script=Hangul}/u, ["ko"]],
  [/[\p{Script=Hiragana}\p{Script=Katakana}]/u, ["ja"]],
  [/\p{Script=Han}/u, ["zh", "ja"]],
  [/\p{Script=Thai}/u, ["th"]],
];
const latin: readonly Language[] = [
  "en",
  "de",
  "fr",
  "es",
  "it",
  "pt",
  "nl",
  "sv",
  "da",
  "no",
  "fi",
  "hu",
  "ro",
  "tr",
  "pl",
];

/** How many of some words each language would say as a matter of course, the most first; none of those that have none. */
function counted(words: readonly string[], among: readonly Language[]): [Language, number][] {
  return among
    .map((language): [Language, number] => {
      const own = functionWordsOf(language);
      return [language, words.reduce((sum, word) => sum + (own.has(word) ? 1 : 0), 0)];
    })
    .filter(([, count]) => count > 0)
    .sort((a, b) => b[1] - a[1]);
}

/**
 * The languages that a text may be in, the likeliest first: those whose function words it has most of, ties and near ties included.
 * Scripts that one language writes are known by their letters. Nothing where it has no such word: one name alone, say.
 *
 * @param words the words of the text, in lower case
 */
export function languagesOf(words: readonly string[]): Language[] {
  const all = words.join(" ");
  const found: Language[] = [];
  for (const [script, candidates] of scripts) {
    if (!script.test(all)) continue;
    const [best] = counted(words, candidates);
    found.push(best?.[0] ?? candidates[0]!);
  }
  const ranked = counted(words, latin);
  for (const [language, count] of ranked) if (count > 0.75 * ranked[0]![1]) found.push(language);
  return [...new Set(found)];
}
