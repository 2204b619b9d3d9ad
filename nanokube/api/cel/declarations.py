"""Functions that expressions may call, and their overloads. Pure; the tables are data.

A line is `function overload (parameters) result`; a receiver stands before the parenthesis, as
`string.(int)`. Single capital letters are type variables.

Source: cel-go common/stdlib, common/overloads, cel/library.go, ext; k8s.io/apiserver/pkg/cel/library, and
environment/base.go for what belongs to the environment of v1.36.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping

from nanokube.api.cel import types
from nanokube.api.cel.types import Type


@dataclasses.dataclass(frozen=True, slots=True)
class Overload:
    """One signature of a function; the receiver of a member is the first parameter."""

    id: str
    is_member: bool
    params: tuple[Type, ...]
    result: Type
    variables: frozenset[str]


Functions = Mapping[str, tuple[Overload, ...]]

_COMPARED = ("bool", "int64", "uint64", "double", "string", "bytes", "timestamp", "duration")
_CELNAMES = {"int64": "int", "uint64": "uint"}
_ORDERED = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")

_STANDARD = """
_&&_ logical_and (bool,bool) bool
_||_ logical_or (bool,bool) bool
!_ logical_not (bool) bool
@not_strictly_false not_strictly_false (bool) bool
_?_:_ conditional (bool,A,A) A
_==_ equals (A,A) bool
_!=_ not_equals (A,A) bool
_+_ add_bytes (bytes,bytes) bytes
_+_ add_double (double,double) double
_+_ add_duration_duration (duration,duration) duration
_+_ add_duration_timestamp (duration,timestamp) timestamp
_+_ add_timestamp_duration (timestamp,duration) timestamp
_+_ add_int64 (int,int) int
_+_ add_list (list<A>,list<A>) list<A>
_+_ add_string (string,string) string
_+_ add_uint64 (uint,uint) uint
_/_ divide_double (double,double) double
_/_ divide_int64 (int,int) int
_/_ divide_uint64 (uint,uint) uint
_%_ modulo_int64 (int,int) int
_%_ modulo_uint64 (uint,uint) uint
_*_ multiply_double (double,double) double
_*_ multiply_int64 (int,int) int
_*_ multiply_uint64 (uint,uint) uint
-_ negate_double (double) double
-_ negate_int64 (int) int
_-_ subtract_double (double,double) double
_-_ subtract_duration_duration (duration,duration) duration
_-_ subtract_int64 (int,int) int
_-_ subtract_timestamp_duration (timestamp,duration) timestamp
_-_ subtract_timestamp_timestamp (timestamp,timestamp) duration
_-_ subtract_uint64 (uint,uint) uint
_[_] index_list (list<A>,int) A
_[_] index_map (map<A,B>,A) B
_[_] optional_list_index_int (optional<list<V>>,int) optional<V>
_[_] optional_map_index_value (optional<map<K,V>>,K) optional<V>
@in in_list (A,list<A>) bool
@in in_map (A,map<A,B>) bool
size size_bytes (bytes) int
size bytes_size bytes.() int
size size_list (list<A>) int
size list_size list<A>.() int
size size_map (map<A,B>) int
size map_size map<A,B>.() int
size size_string (string) int
size string_size string.() int
type type (A) type<A>
bool bool_to_bool (bool) bool
bool string_to_bool (string) bool
bytes bytes_to_bytes (bytes) bytes
bytes string_to_bytes (string) bytes
double double_to_double (double) double
double int64_to_double (int) double
double string_to_double (string) double
double uint64_to_double (uint) double
duration duration_to_duration (duration) duration
duration int64_to_duration (int) duration
duration string_to_duration (string) duration
dyn to_dyn (A) dyn
int int64_to_int64 (int) int
int double_to_int64 (double) int
int duration_to_int64 (duration) int
int string_to_int64 (string) int
int timestamp_to_int64 (timestamp) int
int uint64_to_int64 (uint) int
string string_to_string (string) string
string bool_to_string (bool) string
string bytes_to_string (bytes) string
string double_to_string (double) string
string duration_to_string (duration) string
string int64_to_string (int) string
string timestamp_to_string (timestamp) string
string uint64_to_string (uint) string
timestamp timestamp_to_timestamp (timestamp) timestamp
timestamp int64_to_timestamp (int) timestamp
timestamp string_to_timestamp (string) timestamp
uint uint64_to_uint64 (uint) uint
uint double_to_uint64 (double) uint
uint int64_to_uint64 (int) uint
uint string_to_uint64 (string) uint
contains contains_string string.(string) bool
endsWith ends_with_string string.(string) bool
startsWith starts_with_string string.(string) bool
matches matches (string,string) bool
matches matches_string string.(string) bool
getHours duration_to_hours duration.() int
getMinutes duration_to_minutes duration.() int
getSeconds duration_to_seconds duration.() int
getMilliseconds duration_to_milliseconds duration.() int
"""
_DATES = {
    "getFullYear": "year",
    "getMonth": "month",
    "getDayOfYear": "day_of_year",
    "getDayOfMonth": "day_of_month",
    "getDate": "day_of_month_1_based",
    "getDayOfWeek": "day_of_week",
    "getHours": "hours",
    "getMinutes": "minutes",
    "getSeconds": "seconds",
    "getMilliseconds": "milliseconds",
}
_OPTIONALS = """
optional.of optional_of (V) optional<V>
optional.ofNonZeroValue optional_ofNonZeroValue (V) optional<V>
optional.none optional_none () optional<V>
value optional_value optional<V>.() V
hasValue optional_hasValue optional<V>.() bool
or optional_or_optional optional<V>.(optional<V>) optional<V>
orValue optional_orValue_value optional<V>.(V) V
_?._ select_optional_field (dyn,string) optional<V>
_[?_] list_optindex_optional_int (list<V>,int) optional<V>
_[?_] optional_list_optindex_optional_int (optional<list<V>>,int) optional<V>
_[?_] map_optindex_optional_value (map<K,V>,K) optional<V>
_[?_] optional_map_optindex_optional_value (optional<map<K,V>>,K) optional<V>
last list_last list<V>.() optional<V>
first list_first list<V>.() optional<V>
optional.unwrap optional_unwrap (list<optional<V>>) list<V>
unwrapOpt optional_unwrapOpt list<optional<V>>.() list<V>
"""
_STRINGS = """
charAt string_char_at_int string.(int) string
indexOf string_index_of_string string.(string) int
indexOf string_index_of_string_int string.(string,int) int
lastIndexOf string_last_index_of_string string.(string) int
lastIndexOf string_last_index_of_string_int string.(string,int) int
lowerAscii string_lower_ascii string.() string
replace string_replace_string_string string.(string,string) string
replace string_replace_string_string_int string.(string,string,int) string
split string_split_string string.(string) list<string>
split string_split_string_int string.(string,int) list<string>
substring string_substring_int string.(int) string
substring string_substring_int_int string.(int,int) string
trim string_trim string.() string
upperAscii string_upper_ascii string.() string
format string_format string.(list<dyn>) string
strings.quote strings_quote (string) string
join list_join list<string>.() string
join list_join_string list<string>.(string) string
"""
_EXTENSIONS = """
sets.contains list_sets_contains_list (list<T>,list<T>) bool
sets.equivalent list_sets_equivalent_list (list<T>,list<T>) bool
sets.intersects list_sets_intersects_list (list<T>,list<T>) bool
cel.@mapInsert @mapInsert_map_key_value (map<K,V>,K,V) map<K,V>
cel.@mapInsert @mapInsert_map_map (map<K,V>,map<K,V>) map<K,V>
slice list_slice list<T>.(int,int) list<T>
flatten list_flatten list<list<T>>.() list<T>
flatten list_flatten_int list<dyn>.(int) list<dyn>
lists.range lists_range (int) list<int>
reverse list_reverse list<T>.() list<T>
distinct list_distinct list<T>.() list<T>
indexOf list_a_index_of_int list<A>.(A) int
lastIndexOf list_a_last_index_of_int list<A>.(A) int
find string_find_string string.(string) string
findAll string_find_all_string string.(string) list<string>
findAll string_find_all_string_int string.(string,int) list<string>
url string_to_url (string) URL
isURL is_url_string (string) bool
getScheme url_get_scheme URL.() string
getHost url_get_host URL.() string
getHostname url_get_hostname URL.() string
getPort url_get_port URL.() string
getEscapedPath url_get_escaped_path URL.() string
getQuery url_get_query URL.() map<string,list<string>>
quantity string_to_quantity (string) Quantity
isQuantity is_quantity_string (string) bool
sign quantity_sign (Quantity) int
isGreaterThan quantity_is_greater_than Quantity.(Quantity) bool
isLessThan quantity_is_less_than Quantity.(Quantity) bool
compareTo quantity_compare_to Quantity.(Quantity) int
asApproximateFloat quantity_get_float Quantity.() double
asInteger quantity_get_int Quantity.() int
isInteger quantity_is_integer Quantity.() bool
add quantity_add Quantity.(Quantity) Quantity
add quantity_add_int Quantity.(int) Quantity
sub quantity_sub Quantity.(Quantity) Quantity
sub quantity_sub_int Quantity.(int) Quantity
semver string_to_semver (string) Semver
semver string_bool_to_semver (string,bool) Semver
isSemver is_semver_string (string) bool
isSemver is_semver_string_bool (string,bool) bool
isGreaterThan semver_is_greater_than Semver.(Semver) bool
isLessThan semver_is_less_than Semver.(Semver) bool
compareTo semver_compare_to Semver.(Semver) int
major semver_major Semver.() int
minor semver_minor Semver.() int
patch semver_patch Semver.() int
ip string_to_ip (string) IP
isIP is_ip (string) bool
ip.isCanonical ip_is_canonical (string) bool
string ip_to_string (IP) string
family ip_family IP.() int
isUnspecified ip_is_unspecified IP.() bool
isLoopback ip_is_loopback IP.() bool
isLinkLocalMulticast ip_is_link_local_multicast IP.() bool
isLinkLocalUnicast ip_is_link_local_unicast IP.() bool
isGlobalUnicast ip_is_global_unicast IP.() bool
cidr string_to_cidr (string) CIDR
isCIDR is_cidr (string) bool
string cidr_to_string (CIDR) string
containsIP cidr_contains_ip_string CIDR.(string) bool
containsIP cidr_contains_ip_ip CIDR.(IP) bool
containsCIDR cidr_contains_cidr_string CIDR.(string) bool
containsCIDR cidr_contains_cidr CIDR.(CIDR) bool
ip cidr_ip CIDR.() IP
prefixLength cidr_prefix_length CIDR.() int
masked cidr_masked CIDR.() CIDR
validate format-validate Format.(string) optional<list<string>>
format.named format-named (string) optional<Format>
path authorizer_path Authorizer.(string) PathCheck
group authorizer_group Authorizer.(string) GroupCheck
serviceAccount authorizer_serviceaccount Authorizer.(string,string) Authorizer
resource groupcheck_resource GroupCheck.(string) ResourceCheck
subresource resourcecheck_subresource ResourceCheck.(string) ResourceCheck
namespace resourcecheck_namespace ResourceCheck.(string) ResourceCheck
name resourcecheck_name ResourceCheck.(string) ResourceCheck
fieldSelector authorizer_fieldselector ResourceCheck.(string) ResourceCheck
labelSelector authorizer_labelselector ResourceCheck.(string) ResourceCheck
check pathcheck_check PathCheck.(string) Decision
check resourcecheck_check ResourceCheck.(string) Decision
errored decision_errored Decision.() bool
error decision_error Decision.() string
allowed decision_allowed Decision.() bool
reason decision_reason Decision.() string
"""
FORMATS = (
    "dns1123Label", "dns1123Subdomain", "dns1035Label", "qualifiedName", "dns1123LabelPrefix",
    "dns1123SubdomainPrefix", "dns1035LabelPrefix", "labelValue", "uri", "uuid", "byte", "date", "datetime",
)  # fmt: skip
_JSON_PATCH = """
jsonpatch.escapeKey string_jsonpatch_escapeKey_string (string) string
"""
_NAMES = {
    **{t.name: t for t in (types.BOOL, types.INT, types.UINT, types.DOUBLE, types.STRING, types.BYTES)},
    **{t.name: t for t in (types.DURATION, types.TIMESTAMP, types.DYN)},
    "URL": types.URL,
    "Quantity": types.QUANTITY,
    "Semver": types.SEMVER,
    "IP": types.IP,
    "CIDR": types.CIDR,
    "Format": types.FORMAT,
    "Authorizer": types.AUTHORIZER,
    "PathCheck": types.PATH_CHECK,
    "GroupCheck": types.GROUP_CHECK,
    "ResourceCheck": types.RESOURCE_CHECK,
    "Decision": types.DECISION,
}


@functools.cache
def functions(*, json_patch: bool = False) -> Functions:
    """List every function of the environment by name.

    json_patch: with jsonpatch.escapeKey, which mutations may use.
    """
    lines = [*_STANDARD.split("\n"), *_comparisons(), *_dates(), *_OPTIONALS.split("\n")]
    lines += [*_STRINGS.split("\n"), *_EXTENSIONS.split("\n"), *_lists()]
    lines += [f"format.{name} format.{name} () Format" for name in FORMATS]
    if json_patch:
        lines += _JSON_PATCH.split("\n")
    found: dict[str, list[Overload]] = {}
    for line in filter(None, lines):
        name, overload = _parse(line)
        found.setdefault(name, []).append(overload)
    return {name: tuple(overloads) for name, overloads in found.items()}


def type_names() -> dict[str, Type]:
    """List the identifiers that name types."""
    plain = {
        t.name: t
        for t in (types.BOOL, types.BYTES, types.DOUBLE, types.INT, types.STRING, types.UINT, types.TYPE)
    }
    a, b = types.param("A"), types.param("B")
    return {
        name: types.type_of(t)
        for name, t in {
            **plain,
            "google.protobuf.Duration": types.DURATION,
            "google.protobuf.Timestamp": types.TIMESTAMP,
            "list": types.list_of(a),
            "map": types.map_of(a, b),
            "null_type": types.NULL,
            "net.IP": types.IP,
            "net.CIDR": types.CIDR,
            "optional_type": types.optional_of(a),
        }.items()
    }


def _comparisons() -> Iterable[str]:
    names = {"_<_": "less", "_<=_": "less_equals", "_>_": "greater", "_>=_": "greater_equals"}
    numbers = ("int64", "uint64", "double")
    for operator, name in names.items():
        for kind in _COMPARED:
            cel = _CELNAMES.get(kind, kind)
            yield f"{operator} {name}_{kind} ({cel},{cel}) bool"
        for left in numbers:
            for right in numbers:
                if left != right:
                    params = f"({_CELNAMES.get(left, left)},{_CELNAMES.get(right, right)})"
                    yield f"{operator} {name}_{left}_{right} {params} bool"


def _dates() -> Iterable[str]:
    for function, name in _DATES.items():
        yield f"{function} timestamp_to_{name} timestamp.() int"
        yield f"{function} timestamp_to_{name}_with_tz timestamp.(string) int"


def _lists() -> Iterable[str]:
    for kind in _ORDERED:
        yield f"isSorted list_{kind}_is_sorted_bool list<{kind}>.() bool"
        yield f"max list_{kind}_max_{kind} list<{kind}>.() {kind}"
        yield f"min list_{kind}_min_{kind} list<{kind}>.() {kind}"
        yield f"sort list_{kind}_sort list<{kind}>.() list<{kind}>"
        yield f"@sortByAssociatedKeys list_{kind}_sortByAssociatedKeys list<T>.(list<{kind}>) list<T>"
    for kind in ("int", "uint", "double", "duration"):
        yield f"sum list_{kind}_sum_{kind} list<{kind}>.() {kind}"


def _parse(line: str) -> tuple[str, Overload]:
    name, overload, signature, result = line.split(" ")
    receiver, _, params = signature.partition("(")
    texts = _split(params.removesuffix(")"))
    if receiver:
        texts = [receiver.removesuffix("."), *texts]
    variables = frozenset(re.findall(r"\b[A-Z]\b", signature + result))
    parsed = tuple(_type(text) for text in texts)
    return name, Overload(overload, bool(receiver), parsed, _type(result), variables)


def _type(text: str) -> Type:
    name, _, inner = text.partition("<")
    params = [_type(item) for item in _split(inner.removesuffix(">"))]
    match name:
        case "list":
            return types.list_of(params[0])
        case "map":
            return types.map_of(params[0], params[1])
        case "optional":
            return types.optional_of(params[0])
        case "type":
            return types.type_of(params[0])
    return _NAMES[name] if name in _NAMES else types.param(name)


def _split(text: str) -> list[str]:
    """Split at commas outside angle brackets."""
    return [item for item in re.split(r",(?![^<]*>)", text) if item]
