// written by packages/operators/query/functions.mjs from the catalogues of PostgreSQL and SQLite, and the source of MySQL
import type { Database } from "@tessera/core";

const list = (names: string): ReadonlySet<string> => new Set(names.trim().split(/\s+/));

/** The functions of each dialect that do nothing but give a value. What sleeps, locks, reads a file, asks a service or sets something is not here. */
export const sqlFunctions: Readonly<Record<Database["dialect"], ReadonlySet<string>>> = {
  postgresql: list(`
    abbrev abs acos acosd acosh age any_value area array_agg array_append array_cat array_dims array_fill
    array_larger array_length array_lower array_ndims array_position array_positions array_prepend array_remove
    array_replace array_reverse array_sample array_shuffle array_smaller array_sort array_to_json array_to_string
    array_to_tsvector array_upper ascii asin asind asinh atan atan2 atan2d atand atanh avg bit bit_and bit_count
    bit_length bit_or bit_xor bool bool_and bool_or bound_box box bpchar bpchar_larger bpchar_smaller broadcast
    btequalimage btrim btvarstrequalimage cardinality casefold cash_words cashlarger cashsmaller cast cbrt ceil
    ceiling center char char_length character_length chr cidr circle clock_timestamp coalesce concat concat_ws
    convert convert_from convert_to corr cos cosd cosh cot cotd count covar_pop covar_samp crc32 cume_dist
    current_catalog current_database current_date current_role current_schema current_schemas current_time
    current_timestamp current_user date date_add date_bin date_larger date_part date_smaller date_subtract
    date_trunc datemultirange daterange decode degrees dense_rank dexp diagonal diameter div dlog1 dlog10 dround
    dtrunc encode enum_first enum_larger enum_last enum_range enum_smaller erf erfc every exp extract factorial
    family first_value float4 float4larger float4smaller float8 float8larger float8smaller floor format format_type
    gamma gcd gen_random_uuid generate_series generate_subscripts get_bit get_byte get_current_ts_config
    gin_cmp_tslexeme gin_compare_jsonb greatest grouping height host hostmask in_range inet_merge inet_same_family
    initcap int2 int2larger int2smaller int4 int4inc int4larger int4multirange int4range int4smaller int8 int8dec
    int8dec_any int8inc int8inc_any int8larger int8multirange int8range int8smaller interval interval_larger
    interval_smaller is_normalized isclosed isempty isfinite ishorizontal isopen isparallel isperp isvertical json
    json_agg json_array json_array_elements json_array_elements_text json_array_length json_arrayagg
    json_build_array json_build_object json_each json_each_text json_exists json_extract_path
    json_extract_path_text json_object json_object_agg json_object_keys json_objectagg json_populate_record
    json_populate_recordset json_query json_scalar json_serialize json_strip_nulls json_table json_to_record
    json_to_recordset json_to_tsvector json_typeof json_value jsonb_agg jsonb_array_elements
    jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text
    jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_agg jsonb_object_keys
    jsonb_path_exists jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz jsonb_path_query
    jsonb_path_query_array jsonb_path_query_array_tz jsonb_path_query_first jsonb_path_query_first_tz
    jsonb_path_query_tz jsonb_populate_record jsonb_populate_recordset jsonb_pretty jsonb_set jsonb_set_lax
    jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_to_tsvector jsonb_typeof justify_days justify_hours
    justify_interval lag last_value lcm lead least left length lgamma like like_escape line ln localtime
    localtimestamp log log10 lower lower_inc lower_inf lpad lseg ltrim macaddr macaddr8 macaddr8_set7bit make_date
    make_interval make_time make_timestamp make_timestamptz masklen max md5 min min_scale mod mode money multirange
    multirange_intersect_agg_transfn name netmask network network_larger network_smaller normalize notlike now
    npoints nth_value ntile nullif num_nonnulls num_nulls numeric numeric_div_trunc numeric_exp numeric_inc
    numeric_larger numeric_ln numeric_log numeric_smaller numeric_sqrt nummultirange numnode numrange octet_length
    oid oidlarger oidsmaller overlaps overlay parse_ident path pclose percent_rank percentile_cont percentile_disc
    pg_column_size pg_lsn pg_size_bytes pg_size_pretty pg_typeof pg_wal_lsn_diff phraseto_tsquery pi
    plainto_tsquery point polygon popen position pow power querytree quote_ident quote_literal quote_nullable
    radians radius random random_normal range_agg range_intersect_agg range_intersect_agg_transfn range_merge rank
    regclass regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array
    regexp_split_to_table regexp_substr regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx
    regr_sxy regr_syy repeat replace reverse right round row_number row_to_json rpad rtrim scale session_user
    set_bit set_byte set_masklen setweight sha224 sha256 sha384 sha512 sign similar_escape similar_to_escape sin
    sind sinh slope spg_poly_quad_compress split_part sqrt starts_with statement_timestamp stddev stddev_pop
    stddev_samp string_agg string_to_array string_to_table strip strpos substr substring sum tan tand tanh text
    text_larger text_smaller textlen tidlarger tidsmaller time time_larger time_smaller timeofday timestamp
    timestamp_larger timestamp_smaller timestamptz timestamptz_larger timestamptz_smaller timetz timetz_larger
    timetz_smaller timezone to_ascii to_bin to_char to_date to_hex to_json to_jsonb to_number to_oct to_timestamp
    to_tsquery to_tsvector transaction_timestamp translate treat trim trim_array trim_scale trunc ts_delete
    ts_filter ts_headline ts_rank ts_rank_cd tsmultirange tsquery_phrase tsrange tstzmultirange tstzrange
    tsvector_to_array unicode_assigned unistr unnest upper upper_inc upper_inf uuid_extract_timestamp
    uuid_extract_version uuidv4 uuidv7 var_pop var_samp varbit varchar variance version websearch_to_tsquery width
    width_bucket xid xid8_larger xid8_smaller xml xml_is_well_formed xml_is_well_formed_content
    xml_is_well_formed_document xmlagg xmlcomment xmlconcat xmlelement xmlexists xmlforest xmlparse xmlpi xmlroot
    xmlserialize xmltable xmlvalidate xpath xpath_exists`),
  sqlite: list(`
    abs acos acosh asin asinh atan atan2 atanh atn2 avg bm25 cast ceil ceiling changes char charindex coalesce
    concat concat_ws cos cosh cot coth count cume_dist current_date current_time current_timestamp date datetime
    degrees dense_rank difference exp first_value floor format generate_series glob group_concat hex highlight if
    ifnull iif instr json json_array json_array_insert json_array_length json_each json_error_position json_extract
    json_group_array json_group_object json_insert json_object json_patch json_pretty json_quote json_remove
    json_replace json_set json_tree json_type json_valid jsonb jsonb_array jsonb_array_insert jsonb_each
    jsonb_extract jsonb_group_array jsonb_group_object jsonb_insert jsonb_object jsonb_patch jsonb_remove
    jsonb_replace jsonb_set jsonb_tree julianday lag last_insert_rowid last_value lead leftstr length like
    likelihood likely ln log log10 log2 lower lower_quartile ltrim matchinfo max median min mod mode nth_value
    ntile nullif octet_length offsets padc padl padr percent_rank percentile pi pow power printf proper quote
    radians random randomblob rank regexp replace replicate reverse rightstr round row_number rtrim sign sin sinh
    snippet soundex sqlite_source_id sqlite_version sqrt square stdev strfilter strftime string_agg substr
    substring subtype sum tan tanh time timediff total total_changes trim trunc typeof unhex unicode unistr
    unistr_quote unixepoch unlikely upper upper_quartile variance zeroblob`),
  mysql: list(`
    abs acos adddate addtime aes_decrypt aes_encrypt any_value ascii asin atan atan2 avg bin bin_to_uuid bit_and
    bit_count bit_length bit_or bit_xor cast ceil ceiling char char_length character_length charset coalesce
    coercibility collation compress concat concat_ws conv convert convert_tz cos cot count crc32 cume_dist curdate
    current_date current_role current_time current_timestamp current_user curtime database date date_add
    date_format date_sub datediff day dayname dayofmonth dayofweek dayofyear default degrees dense_rank elt exp
    export_set extract extractvalue field find_in_set first_value floor format format_bytes format_pico_time
    from_base64 from_days from_unixtime geomcollection geometrycollection get_format greatest group_concat grouping
    gtid_subset gtid_subtract hex hour if ifnull inet6_aton inet6_ntoa inet_aton inet_ntoa insert instr interval
    is_ipv4 is_ipv4_compat is_ipv4_mapped is_ipv6 is_uuid isnull json_array json_array_append json_array_insert
    json_arrayagg json_contains json_contains_path json_depth json_extract json_insert json_keys json_length
    json_merge json_merge_patch json_merge_preserve json_object json_objectagg json_overlaps json_pretty json_quote
    json_remove json_replace json_schema_valid json_schema_validation_report json_search json_set json_storage_free
    json_storage_size json_table json_type json_unquote json_valid json_value lag last_day last_value lcase lead
    least left length linestring ln localtime localtimestamp locate log log10 log2 lower lpad ltrim make_set
    makedate maketime max mbrcontains mbrcoveredby mbrcovers mbrdisjoint mbrequals mbrintersects mbroverlaps
    mbrtouches mbrwithin md5 microsecond mid min minute mod month monthname multilinestring multipoint multipolygon
    name_const now nth_value ntile nullif oct octet_length ord percent_rank period_add period_diff pi point polygon
    position pow power quarter quote radians rand random_bytes rank regexp_instr regexp_like regexp_replace
    regexp_substr repeat replace reverse right round row_number rpad rtrim schema sec_to_time second session_user
    sha sha1 sha2 sign sin soundex space sqrt st_area st_asbinary st_asgeojson st_astext st_aswkb st_aswkt
    st_buffer st_buffer_strategy st_centroid st_collect st_contains st_convexhull st_crosses st_difference
    st_dimension st_disjoint st_distance st_distance_sphere st_endpoint st_envelope st_equals st_exteriorring
    st_geohash st_geomcollfromtext st_geomcollfromtxt st_geomcollfromwkb st_geometrycollectionfromtext
    st_geometrycollectionfromwkb st_geometryfromtext st_geometryfromwkb st_geometryn st_geometrytype
    st_geomfromgeojson st_geomfromtext st_geomfromwkb st_interiorringn st_intersection st_intersects st_isclosed
    st_isempty st_issimple st_isvalid st_latfromgeohash st_latitude st_length st_linefromtext st_linefromwkb
    st_linestringfromtext st_linestringfromwkb st_longfromgeohash st_longitude st_makeenvelope st_mlinefromtext
    st_mlinefromwkb st_mpointfromtext st_mpointfromwkb st_mpolyfromtext st_mpolyfromwkb st_multilinestringfromtext
    st_multilinestringfromwkb st_multipointfromtext st_multipointfromwkb st_multipolygonfromtext
    st_multipolygonfromwkb st_numgeometries st_numinteriorring st_numinteriorrings st_numpoints st_overlaps
    st_pointfromgeohash st_pointfromtext st_pointfromwkb st_pointn st_polyfromtext st_polyfromwkb
    st_polygonfromtext st_polygonfromwkb st_simplify st_srid st_startpoint st_swapxy st_symdifference st_touches
    st_transform st_union st_validate st_within st_x st_y statement_digest statement_digest_text std stddev
    stddev_pop stddev_samp str_to_date strcmp subdate substr substring substring_index subtime sum sysdate
    system_user tan time time_format time_to_sec timediff timestamp timestampadd timestampdiff to_base64 to_days
    to_seconds trim truncate ucase uncompress uncompressed_length unhex unix_timestamp updatexml upper user
    utc_date utc_time utc_timestamp uuid uuid_short uuid_to_bin validate_password_strength values var_pop var_samp
    variance version week weekday weekofyear weight_string year yearweek`),
};
