"""Which functions a query may call: those that are known to compute, and nothing else.

A list of what is forbidden is never whole: `ts_stat('select …')` runs a text as a statement, and an
extension brings more of that kind. So a function that stands in none of these lists is refused.
"""

from __future__ import annotations

from typing import Any

# What sqlglot knows by its meaning, whatever a dialect calls it; the names are those of its classes.
_CLASSES = """
    And Or Xor Case If Coalesce Nullif Nvl2 Greatest Least Exists EqualNull DecodeCase Nanvl IsNan
    Cast TryCast CastToStrType Convert ConvertToCharset Collate Columns String Typeof
    ToChar ToNumber ToDouble NumberToStr ToBoolean TimeToStr StrToDate StrToTime StrToUnix
    TimeStrToDate TimeStrToTime TimeStrToUnix TimeToTimeStr TimeToUnix UnixToStr UnixToTime
    UnixToTimeStr UnixDate UnixSeconds UnixMillis UnixMicros DateStrToDate DateToDateStr DateToDi
    DiToDate TsOrDiToDi TsOrDsAdd TsOrDsDiff TsOrDsToDate TsOrDsToDateStr TsOrDsToDatetime
    TsOrDsToTime TsOrDsToTimestamp ParseDatetime ParseTime FromISO8601Date FromISO8601Timestamp
    CurrentDate CurrentDatetime CurrentTime CurrentTimestamp CurrentTimestampLTZ CurrentTimezone
    Localtime Localtimestamp Systimestamp UtcDate UtcTime UtcTimestamp ConvertTimezone
    Date DateAdd DateBin DateDiff DateFromParts DateFromUnixDate DateSub DateTrunc Datetime
    DatetimeAdd DatetimeDiff DatetimeSub DatetimeTrunc Time TimeAdd TimeDiff TimeFromParts TimeSlice
    TimeSub TimeTrunc Timestamp TimestampAdd TimestampDiff TimestampFromParts TimestampSub
    TimestampTrunc TimestampTzFromParts TimestampLtzFromParts AddMonths MonthsBetween LastDay NextDay
    PreviousDay MakeInterval JustifyDays JustifyHours JustifyInterval Extract Year Quarter Month Week
    WeekOfYear WeekStart YearOfWeek YearOfWeekIso Day DayOfMonth DayOfWeek DayOfWeekIso DayOfYear
    Dayname Monthname Hour Minute Second ToDays
    Concat ConcatWs Lower Upper Initcap Trim Left Right Pad Length ByteLength BitLength Substring
    SubstringIndex StrPosition Split SplitPart Replace Overlay Stuff Translate Repeat Reverse Space
    StartsWith EndsWith Contains Ascii Chr Unicode Elt Format Soundex Normalize Hex LowerHex Unhex
    Encode Decode ToBase64 FromBase64 Base64Encode Base64DecodeBinary Base64DecodeString
    RegexpLike RegexpILike RegexpReplace RegexpExtract RegexpExtractAll RegexpSubstr RegexpInstr
    RegexpCount RegexpSplit RegexpFullMatch MatchAgainst Levenshtein
    MD5 MD5Digest SHA SHA1Digest SHA2 SHA2Digest StandardHash
    Abs Sign Ceil Floor Round Trunc Sqrt Cbrt Pow Exp Ln Log Pi Degrees Radians Sin Cos Tan Cot Asin
    Acos Atan Atan2 Rint WidthBucket Negative BitwiseCount
    Count CountIf Sum Avg Min Max Median Mode AnyValue Stddev StddevPop StddevSamp Variance
    VariancePop GroupConcat ArrayAgg LogicalAnd LogicalOr BitwiseAndAgg BitwiseOrAgg BitwiseXorAgg
    PercentileCont PercentileDisc Grouping GroupingId
    RowNumber Rank DenseRank PercentRank CumeDist Ntile Lag Lead First Last FirstValue LastValue
    NthValue
    Array ArrayAll ArrayAny ArrayAppend ArrayConcat ArrayContains ArrayContainsAll ArrayContainedBy
    ArrayOverlaps ArrayPosition ArrayPrepend ArrayRemove ArraySize ArraySlice ArrayToString ToArray
    StringToArray List Struct StructExtract
    JSONArray JSONArrayAgg JSONArrayContains JSONObject JSONObjectAgg JSONBObjectAgg JSONCast
    JSONExists JSONExtract JSONExtractScalar JSONExtractArray JSONBExtract JSONBExtractScalar
    JSONBContains JSONBExists JSONBPathExists JSONBContainsAllTopKeys JSONBContainsAnyTopKeys
    JSONBContainsTopKey JSONBDeleteAtPath JSONFormat JSONKeys JSONRemove JSONSet JSONStripNulls
    JSONTable JSONType JSONValueArray ParseJSON IsNullValue
    Unnest Explode ExplodingGenerateSeries GenerateSeries GenerateDateArray GenerateTimestampArray
"""
_KNOWN = frozenset(_CLASSES.split())
# What sqlglot has no meaning for, by the name that is written.
_COMMON = "concat_ws ifnull nullif coalesce trim ltrim rtrim btrim upper lower row char_length"
_NAMED = {
    "postgres": f"""{_COMMON} age timezone to_char to_date to_timestamp to_number date_part make_date
        make_time make_timestamp make_timestamptz isfinite clock_timestamp statement_timestamp
        transaction_timestamp timeofday char octet_length quote_literal quote_ident quote_nullable
        format unaccent strpos concat string_agg bool_and bool_or every array_agg array_length
        array_lower array_upper array_ndims cardinality array_to_json array_replace array_positions
        string_to_table regexp_split_to_table regexp_split_to_array regexp_match regexp_matches
        regexp_substr regexp_count regexp_instr generate_subscripts num_nonnulls num_nulls div mod
        scale gcd lcm lpad rpad casefold
        to_json to_jsonb row_to_json json_agg jsonb_agg json_object_agg jsonb_object_agg
        json_build_object jsonb_build_object json_build_array jsonb_build_array json_each jsonb_each
        json_each_text jsonb_each_text json_array_elements jsonb_array_elements
        json_array_elements_text jsonb_array_elements_text json_object_keys jsonb_object_keys
        json_array_length jsonb_array_length json_typeof jsonb_typeof json_extract_path
        jsonb_extract_path json_extract_path_text jsonb_extract_path_text json_to_record
        jsonb_to_record json_to_recordset jsonb_to_recordset jsonb_path_query jsonb_path_query_first
        jsonb_path_query_array jsonb_path_exists jsonb_set jsonb_strip_nulls json_strip_nulls
        lower_inc upper_inc lower_inf upper_inf isempty tsrange tstzrange daterange range_merge""",
    "mysql": f"""{_COMMON} date_format str_to_date convert_tz from_unixtime unix_timestamp
        group_concat addtime subtime adddate subdate timediff sec_to_time time_to_sec time_format
        get_format makedate from_days to_days to_seconds period_add period_diff microsecond weekday
        yearweek interval field find_in_set instr locate mid insert oct bin conv format quote strcmp
        export_set make_set character_length octet_length inet_ntoa inet6_ntoa inet_aton bit_count
        crc32 mod truncate div isnull nvl nvl2 uuid_to_bin bin_to_uuid cast convert json_value json_query
        json_unquote json_quote json_valid json_length json_depth json_contains json_contains_path
        json_overlaps json_search json_merge_patch json_compact json_arrayagg json_objectagg
        current_timestamp sysdate now localtimestamp bit_and bit_or bit_xor to_char soundex""",
    "sqlite": f"""{_COMMON} date time datetime strftime julianday unixepoch timediff printf format
        quote char glob like likely unlikely likelihood typeof total group_concat string_agg unicode
        concat instr substr iif octet_length json json_array json_array_length json_each json_tree
        json_group_array json_group_object json_insert json_object json_patch json_quote json_replace
        json_set json_type json_valid json_error_position unistr mod min max generate_series""",
    "tsql": f"""{_COMMON} isnull choose patindex quotename str datalength isdate isnumeric sysdatetime
        sysdatetimeoffset sysutcdatetime getutcdate switchoffset todatetimeoffset datepart datename
        eomonth datetime2fromparts smalldatetimefromparts datetimeoffsetfromparts square
        count_big checksum string_split json_value json_query isjson parse try_parse concat left
        right""",
    "oracle": f"""{_COMMON} nvl to_char to_date to_timestamp to_timestamp_tz to_number trunc round
        from_tz sys_extract_utc numtodsinterval numtoyminterval to_dsinterval to_yminterval new_time
        instr instrb substr substrb lengthb mod nls_upper nls_lower nls_initcap nlssort rawtohex
        hextoraw lnnvl tz_offset sessiontimezone dbtimezone json_value json_query json_exists
        nvl2 ratio_to_report keep wm_concat""",
}  # fmt: skip
_ALLOWED = {dialect: frozenset(names.split()) for dialect, names in _NAMED.items()}


def stranger(node: Any, dialect: str) -> str:
    """Return the name of the function that a part of a query calls, empty where it may."""
    from sqlglot import exp

    if not isinstance(node, exp.Func):
        return ""
    name = _named(node)
    if schema := _schema_of(node):
        # A schema's own function may do anything, whatever it is called.
        return (
            f"{schema}.{name}" if schema.lower() != "pg_catalog" else _unknown(node, name, dialect)
        )
    return _unknown(node, name, dialect)


def _unknown(node: Any, name: str, dialect: str) -> str:
    allowed = _ALLOWED.get(dialect) or frozenset(_COMMON.split())
    return "" if type(node).__name__ in _KNOWN or name.lower() in allowed else name


def _schema_of(node: Any) -> str:
    from sqlglot import exp

    parent = node.parent
    if isinstance(parent, exp.Dot) and parent.expression is node:
        return str(parent.this.sql())
    return str(parent.db) if isinstance(parent, exp.Table) and parent.this is node else ""


def _named(node: Any) -> str:
    name = node.name if node.key in ("anonymous", "anonymousaggfunc") else node.sql_name()
    return str(name or node.key).lower()
