// Writes src/sql-functions.ts: the functions that a statement may call. Run by hand, where a dialect has a new version:
//   node packages/operators/query/functions.mjs 'host=/tmp port=5432 user=me dbname=postgres'
// PostgreSQL's are those of a server's own pg_proc, asked by psql (last of 15), and a few of 16 to 18, which are named by
// hand below; SQLite's those of `pragma function_list` of sql.js, and a few of other builds, named by hand.
// MySQL has no catalogue to ask. Its list was compared with the table of native functions in its source
// (sql/item_create.cc of mysql/mysql-server 8.0): what of that is not here sleeps, waits, locks, reads a file, sets
// something or tells of the server. What the grammar has beside that table (CAST, COUNT, DATE_ADD, windows, JSON_TABLE)
// and what came later than 8.0.3 is named by hand.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import initSqlJs from "sql.js";

const words = (text) => text.trim().split(/\s+/);

/** No name with a volatile member, none of what the server calls itself (its descriptions say so), no pseudo types. */
const fromCatalogue = `
  SELECT DISTINCT p.proname FROM pg_catalog.pg_proc p
  WHERE p.prokind IN ('f', 'a', 'w') AND p.pronamespace = 'pg_catalog'::regnamespace
    AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_proc q WHERE q.proname = p.proname AND (
      q.provolatile = 'v' OR q.prorettype::regtype::text ~ 'internal|cstring|trigger|handler|language'
      OR EXISTS (SELECT 1 FROM unnest(q.proargtypes) a WHERE a::regtype::text IN ('internal', 'cstring'))))
    AND coalesce(obj_description(p.oid, 'pg_proc'), '') !~ '^(implementation of|I/O|internal|less-equal|hash|convert .* to hash|aggregate .* function|join selectivity|restriction selectivity|\\(internal\\))'
  ORDER BY 1`;
/** What a stable function may do all the same: read the server's state, its files and other tables, or take a number. */
const acting =
  /^(pg_(?!typeof$|size_pretty$|size_bytes$|column_size$|lsn$|wal_lsn_diff$)|to_reg|has_|txid_|inet_(client|server)_|lo|binary_upgrade|fmgr_|brin_|current_setting|row_security|satisfies_|generate_subscripts$|getpgusername|getdatabaseencoding|makeacl|acl|nameconcat|oidvector|mxid_age|ts_(debug|parse|token_type|lexize|stat)|[a-z]+_to_xml|query_to|shobj_|obj_|col_|.*(_send|send|typmodin|_validator|_subdiff|_canonical|_accum|_accum_inv|_combine)$)/;
const needed = words("lower log log10 lower_inc lower_inf generate_subscripts"); // of what the pattern takes too much
/** Volatile, and yet without any effect; what the grammar has in place of a function; from random_normal on those of 16 to 18. */
const grammar = words(`
  random gen_random_uuid clock_timestamp timeofday coalesce greatest least nullif extract overlay position substring trim
  cast treat grouping normalize current_date current_time current_timestamp localtime localtimestamp current_catalog
  current_role current_user session_user xmlconcat xmlelement xmlforest xmlparse xmlpi xmlroot xmlserialize xmltable
  json json_scalar json_serialize json_array json_arrayagg json_objectagg json_exists json_query json_value json_table
  random_normal date_add date_subtract array_shuffle array_sample array_reverse array_sort any_value array_cat starts_with unicode_assigned erf erfc
  casefold uuidv4 uuidv7 uuid_extract_timestamp uuid_extract_version to_bin to_oct crc32 gamma lgamma`);

const mysql = words(`
  abs acos adddate addtime aes_decrypt aes_encrypt any_value ascii asin atan atan2 avg bin bin_to_uuid bit_and
  bit_count bit_length bit_or bit_xor cast ceil ceiling char char_length character_length charset coalesce
  coercibility collation compress concat concat_ws conv convert convert_tz cos cot count crc32 cume_dist curdate
  current_date current_role current_time current_timestamp current_user curtime database date date_add date_format
  date_sub datediff day dayname dayofmonth dayofweek dayofyear default degrees dense_rank elt exp export_set extract
  extractvalue field find_in_set first_value floor format format_bytes format_pico_time from_base64 from_days
  from_unixtime geomcollection geometrycollection get_format greatest group_concat grouping gtid_subset gtid_subtract
  hex hour if ifnull inet6_aton inet6_ntoa inet_aton inet_ntoa insert instr interval is_ipv4 is_ipv4_compat
  is_ipv4_mapped is_ipv6 is_uuid isnull json_array json_array_append json_array_insert json_arrayagg json_contains
  json_contains_path json_depth json_extract json_insert json_keys json_length json_merge json_merge_patch
  json_merge_preserve json_object json_objectagg json_overlaps json_pretty json_quote json_remove json_replace
  json_schema_valid json_schema_validation_report json_search json_set json_storage_free json_storage_size json_table
  json_type json_unquote json_valid json_value lag last_day last_value lcase lead least left length linestring ln
  localtime localtimestamp locate log log10 log2 lower lpad ltrim make_set makedate maketime max mbrcontains
  mbrcoveredby mbrcovers mbrdisjoint mbrequals mbrintersects mbroverlaps mbrtouches mbrwithin md5 microsecond mid min
  minute mod month monthname multilinestring multipoint multipolygon name_const now nth_value ntile nullif oct
  octet_length ord percent_rank period_add period_diff pi point polygon position pow power quarter quote radians rand
  random_bytes rank regexp_instr regexp_like regexp_replace regexp_substr repeat replace reverse right round
  row_number rpad rtrim schema sec_to_time second session_user sha sha1 sha2 sign sin soundex space sqrt st_area
  st_asbinary st_asgeojson st_astext st_aswkb st_aswkt st_buffer st_buffer_strategy st_centroid st_collect st_contains
  st_convexhull st_crosses st_difference st_dimension st_disjoint st_distance st_distance_sphere st_endpoint
  st_envelope st_equals st_exteriorring st_geohash st_geomcollfromtext st_geomcollfromtxt st_geomcollfromwkb
  st_geometrycollectionfromtext st_geometrycollectionfromwkb st_geometryfromtext st_geometryfromwkb st_geometryn
  st_geometrytype st_geomfromgeojson st_geomfromtext st_geomfromwkb st_interiorringn st_intersection st_intersects
  st_isclosed st_isempty st_issimple st_isvalid st_latfromgeohash st_latitude st_length st_linefromtext st_linefromwkb
  st_linestringfromtext st_linestringfromwkb st_longfromgeohash st_longitude st_makeenvelope st_mlinefromtext
  st_mlinefromwkb st_mpointfromtext st_mpointfromwkb st_mpolyfromtext st_mpolyfromwkb st_multilinestringfromtext
  st_multilinestringfromwkb st_multipointfromtext st_multipointfromwkb st_multipolygonfromtext st_multipolygonfromwkb
  st_numgeometries st_numinteriorring st_numinteriorrings st_numpoints st_overlaps st_pointfromgeohash
  st_pointfromtext st_pointfromwkb st_pointn st_polyfromtext st_polyfromwkb st_polygonfromtext st_polygonfromwkb
  st_simplify st_srid st_startpoint st_swapxy st_symdifference st_touches st_transform st_union st_validate st_within
  st_x st_y statement_digest statement_digest_text std stddev stddev_pop stddev_samp str_to_date strcmp subdate substr
  substring substring_index subtime sum sysdate system_user tan time time_format time_to_sec timediff timestamp
  timestampadd timestampdiff to_base64 to_days to_seconds trim truncate ucase uncompress uncompressed_length unhex
  unix_timestamp updatexml upper user utc_date utc_time utc_timestamp uuid uuid_short uuid_to_bin
  validate_password_strength values var_pop var_samp variance version week weekday weekofyear weight_string year
  yearweek`);

/** SQLite: what may only be called directly acts (the flag 0x80000), and so does FTS3's optimize, which rewrites an index. */
async function sqliteFunctions() {
  const database = new (await initSqlJs()).Database();
  const [{ values }] = database.exec("SELECT DISTINCT name FROM pragma_function_list WHERE flags & 0x80000 = 0");
  database.close();
  const acts = new Set(words("optimize load_extension fts3_tokenizer sqlite_log edit readfile writefile match"));
  // table-valued functions, those of full-text search, and those that other builds have
  const more = words(`
    json_each json_tree jsonb_each jsonb_tree bm25 highlight snippet matchinfo offsets generate_series soundex cast
    sqlite_version total changes last_insert_rowid regexp acosh asinh atanh percentile median`);
  const names = values.flat().filter((name) => /^[a-z]\w*$/.test(name) && !name.startsWith("sqlite_compile"));
  return [...names, ...more].filter((name) => !acts.has(name));
}

const [connection] = process.argv.slice(2);
if (!connection) throw new Error("name a PostgreSQL server, as psql does");
const catalogue = execFileSync("psql", [connection, "-Atc", fromCatalogue], { encoding: "utf8" }).split("\n");
const postgresql = [...catalogue.filter((name) => name && (!acting.test(name) || needed.includes(name))), ...grammar];
const lists = { postgresql, sqlite: await sqliteFunctions(), mysql };

const wrap = (names) => {
  const lines = [""];
  for (const name of [...new Set(names)].sort()) {
    if (lines.at(-1).length + name.length > 110) lines.push("");
    lines[lines.length - 1] += `${lines.at(-1) === "" ? "" : " "}${name}`;
  }
  return lines.map((line) => `    ${line}`).join("\n");
};
writeFileSync(
  new URL("src/sql-functions.ts", import.meta.url),
  `// internal
// written by packages/operators/query/functions.mjs from the catalogues of PostgreSQL and SQLite, and the source of MySQL
import type { Database } from "@tessera/core";

const list = (names: string): ReadonlySet<string> => new Set(names.trim().split(/\\s+/));

/** The functions of each dialect that do nothing but give a value. What sleeps, locks, reads a file, asks a service or sets something is not here. */
export const sqlFunctions: Readonly<Record<Database["dialect"], ReadonlySet<string>>> = {
${Object.entries(lists)
  .map(([dialect, names]) => `  ${dialect}: list(\`\n${wrap(names)}\`),`)
  .join("\n")}
};
`,
);
