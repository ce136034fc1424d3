const thought = "(?:think(?:ing)?|thoughts?|reasoning)";
// what the names of control tokens are made of, where they have more than one part: <tool_call>, <fim_prefix>, <BOS_TOKEN>
const part = "(?:tools?|turn|fim|im|bos|eo[a-z]|pad|unk|sep|cls|mask|special|reserved|unused|jupyter|soft|fake)";
const numbered = "(?:unused|extra_id|reserved|special|control|ctrl|dummy|placeholder|loc\\d|seg\\d)";

/**
 * The shapes in which chat templates write what is theirs. Each matches the opening bracket that a space is put after.
 * Tags of markup and types of code have other shapes: no bars, no such parts in their names, attributes, or a capital.
 */
const tags = [
  // <|tool_call>, <channel|>; not the operators <|> and <| x |>
  "<(?=/?[|｜][^\\s<>|｜]{1,60}[|｜]?>)",
  "<(?=/?[^\\s<>|｜]{1,60}[|｜]>)",
  // <｜tool▁calls▁begin｜>, <fim▁hole>: nothing else writes this sign in brackets
  "<(?=[^\\s<>]{0,60}▁[^\\s<>]{0,60}>)",
  // <s>, </s>, <bos>, <pad>, <sop>
  "<(?=/?s>|(?:bos|eos|pad|unk|mask|cls|sep|eod|eot|eom|eop|eog|sop|suf|mid)>)",
  // <start_of_turn>, <tool_call>, </tool_call>, <seed:bos>, <fim-prefix>; not a type of C such as <mask_t>
  "<(?=/?(?:start|begin|end)_of_\\w{1,40}>)",
  `<(?=/?(?:\\w{1,20}[:_]){1,3}?${part}(?:_\\w{1,20}){0,3}(?<!_t)>)`,
  `<(?=/?${part}(?:[:_]\\w{1,20}){1,4}(?<!_t)>)`,
  "<(?=fim-\\w{1,20}>)",
  "<(?=/?(?:repo_?name|file_(?:name|sep)|commit_(?:before|after|msg)|issue_(?:start|comment|closed)|function_calls?)>)",
  "<(?=(?:function|parameter|tool)=[\\w.-]{1,60}>)",
  // <unused12>, <extra_id_0>, <0x0A>
  `<(?=${numbered}_?\\d{1,6}>)`,
  "(?<!\\w)<(?=0x[0-9a-f]{2}>)",
  // <think>, </think>, <seed:think>, ◁think▷
  `<(?=/?(?:\\w{1,20}[:_])?${thought}(?:_\\w{1,20})?>)`,
  "◁(?=/?[^\\s◁▷]{1,40}▷)",
  "<(?=</?SYS(?:TEM)?(?:_PROMPT)?>>)",
];
const capitals = [
  // [INST], [/INST], [SYSTEM_PROMPT], [TOOL_RESULTS], [gMASK]
  "\\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_\\w{1,20}|IMG(?:_\\w{1,10})?|THINK|CALL_ID|CONTROL_\\d{1,5}|BEGIN_\\w{1,20}|[gs]MASK)\\])",
  // as an index these are code: row[PAD]
  "(?<![\\p{L}\\p{N}_)]|[\\p{Ll}\\p{N}]\\])\\[(?=/?(?:ARGS|BOS|EOS|CLS|SEP|PAD|MASK|UNK|PREFIX|SUFFIX|MIDDLE)\\])",
];
/** <|im_start|>, <｜User｜>: both brackets get their space. */
const barred = /<(\/?[|｜][^\s<>|｜]{1,60}[|｜])>/gu;
const inAnyCase = new RegExp(tags.join("|"), "giu");
const asWritten = new RegExp(capitals.join("|"), "gu");
/** A component of JSX or a type: no template begins a name with one capital. */
const component = /^<\/?[A-Z][a-z]/;

/** Breaks what chat templates take for their own by a space behind its bracket. */
export const withoutTemplateTokens = (text: string): string =>
  text
    .replace(barred, "< $1 >")
    .replace(inAnyCase, (found: string, at: number) => (component.test(text.slice(at, at + 4)) ? found : `${found} `))
    .replace(asWritten, "$& ");
