"""Which part of a text line is level, source and host, and which part is the message?"""

from __future__ import annotations

import re

from jamais.sources.continuation import with_signature
from jamais.sources.formats.levels import CANONICAL, LETTERS, POSTGRES_MORE, SYSLOG
from jamais.sources.records import LINE_JOIN, TEXT_CHARACTERS, Head
from jamais.sources.times.finder import StampFinder

_WORDS = "|".join(sorted(CANONICAL, key=len, reverse=True))
_LEVEL = re.compile(rf"(?:(?P<open>[\[<(|])\s*)?(?P<word>{_WORDS})(?:\s*[\]>)|])?(?=[\s:,|\-\]]|$)[:,|]?", re.I)
_MODULE_LEVEL = re.compile(rf"\[(?P<module>[\w-]*):(?P<word>{_WORDS}|trace\d)\]", re.I)
_MORE = re.compile(rf"(?P<word>{'|'.join(POSTGRES_MORE)}):  ?")
_SYSLOG = re.compile(
    r"\s*(?P<host>[^\s:\[\]|,]+(?::[0-9a-f:]+)?) "
    r"(?P<prog>[^\s:\[\]|(-][^\s:\[(]*(?:\([^)\s]*\))?(?: [\d.]+| [A-Z]\w+(?=\[))?)"
    r"(?:\[(?P<pid>[^\]\s]*)\])?(?: \([^)\s]*\))?: ?(?P<message>.*)",
    re.S,
)
_HOST_ONLY = re.compile(r"\s*(?P<host>[^\s:\[\]|,]+) (?P<message>.*)", re.S)
_PRI = re.compile(rb"<\d{1,3}>(?:1 )?")
_SEVERITY = re.compile(r"<([A-Z]+)>(?:1 )?")
_RFC5424 = re.compile(r"\s*(?P<host>\S+) (?P<app>\S+) (?P<proc>\S+) (?P<id>\S+) (?P<rest>.*)", re.S)
_ELEMENT = re.compile(r'\[(?P<id>[^\s\]="]+)(?P<pairs>(?: [^\s\]="]+="(?:[^"\\]|\\.)*")*)\]')
_PAIR = re.compile(r'([^\s\]="]+)="((?:[^"\\]|\\.)*)"')
_ACCESS = re.compile(r"(?P<who>\S+) \S+ \S.*? \[$")
_ACCESS_LINE = re.compile(r'(?P<who>\S+) \S+ \S.*? \[\d\d/\w{3}/\d{4}:[\d: +-]+\] (?P<rest>".*)', re.S)
_UPPER_LEVEL = re.compile(rf"(?:{_WORDS})(?=[\s:])")
_SKIP = re.compile(r"(?:\d+(?:#\d+)?:?|\[\d+(?:[-:#.]\d+)*\]:?|\[pid \d+(?::tid \d+)?\]|\(\d+\)|-|\||,)(?=\s|$|\[)\s*")
_DATABASE = re.compile(rf"(?:\[?[\w.-]+\]?@[\w.\[\]-]+ )?(?:\[[\w./-]+\] )?(?=(?:{_WORDS}|{'|'.join(POSTGRES_MORE)}):)")
_SEQUENCE = re.compile(r"\[\d+(?:-\d+)?\] ")
_BRACKET = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]:?\s*")
_NAME = r"[A-Za-z_$][\w$/@\-]*(?:[.][\w$<>\-]+)*(?:\([^()\s]*\))?(?:\[\d+\])?"
_COLON_SOURCE = re.compile(rf"(?P<name>{_NAME}(?:\:\d+)?) ?:(?=\s|$)\s*")
_DASH_SOURCE = re.compile(rf"(?P<name>{_NAME}(?:\:\d+)?)\s+-\s+")
_DOTTED_SOURCE = re.compile(r"(?P<name>[A-Za-z_][\w$\-]*(?:\.[A-Za-z_$][\w$\-]*)+)(?=\s+\[)\s+")
_COLUMN_SOURCE = re.compile(rf"(?P<name>{_NAME})\s{{2,}}")
_NAME_THEN_LEVEL = re.compile(
    rf"\[?(?P<name>{_NAME})\]?\s*(?:[-|:]\s*|\s)(?=[\[<(|]?\s*(?:{_WORDS})\b[\]>)]?[\s:,|\-])"
)
_GO_FILE = re.compile(r"(?P<name>[\w./-]+\.(?:go|cc|cpp|c|h)):\d+\] ?")
_BGL = re.compile(r"\s*(?P<node>\S+) (?P<type>[A-Z_]+) (?P<part>\S+) (?P<level>[A-Z]+)(?: (?P<message>.*))?$", re.S)
_REDIS = {".": "DEBUG", "-": "TRACE", "*": "NOTICE", "#": "WARNING"}
_REDIS_ROLE = re.compile(r"\d+:(?P<role>[MSCX]) $")
_PREFIX_NOISE = re.compile(r"^(?:[-\d.,/:|()\[\]]+|\S+=)$")
_ALERT_LABEL = re.compile(r"^(?:-|[A-Z_]+) (?=\d|$)")


_ANY_STAMP = StampFinder()


class TextHeads:
    """Split text lines; `name` is the format (text, syslog, access), the finder knows where the stamps are."""

    def __init__(self, name: str, finder: StampFinder) -> None:
        self.name = name
        self.finder = finder

    def head(self, i: int, raw: bytes) -> Head:
        return self.split(raw)

    def text(self, i: int, raw: bytes) -> str:
        return raw[: 4 * TEXT_CHARACTERS].split(LINE_JOIN, 1)[0].decode("utf-8", "replace")

    def field(self, name: str) -> list[str | None] | None:
        return None

    def split(self, raw: bytes) -> Head:
        """Split one record (lines joined by `LINE_JOIN`)."""
        first, *rest = raw.split(LINE_JOIN)
        head = self._first_line(first)
        if not rest:
            return head
        more = [self._bare(line) for line in rest]
        return Head(with_signature(head.message, more), head.level, head.source, head.host, head.fields)

    def _bare(self, line: bytes) -> str:
        """Take the header off a further line that has one (PostgreSQL's, or any that syslog carried)."""
        stamp = self.finder.find(line) if line[:1] > b" " else None
        if stamp is None or stamp.start() > 5:
            return line.decode("utf-8", "replace")
        rest = line[stamp.end() :].decode("utf-8", "replace")
        found = _syslog_parts(rest) if self.name == "syslog" else None
        return (found["message"] if found else rest.lstrip()).replace("#011", "\t")

    def _first_line(self, line: bytes) -> Head:
        stamp = self.finder.find(line)
        if stamp is None:
            text = line.decode("utf-8", "replace").strip()
            severity = _SEVERITY.match(text)
            if severity:
                return _syslog(text[severity.end() :], severity[1], self.finder)
            level, source, message = split_level(text) if self.name != "access" else ("", "", text)
            return Head(message, level, source)
        before = line[: stamp.start()].decode("utf-8", "replace")
        rest = line[self.finder.header_end(line, stamp) :].decode("utf-8", "replace")
        if before.endswith("["):
            if self.name == "access" or _ACCESS.match(before):
                return _access(before, rest)
            before, rest = before[:-1], rest.removeprefix("]")
        severity = _SEVERITY.match(before)
        if severity and severity.end() == len(before):
            if before.endswith(">1 "):
                return _rfc5424(rest, severity[1])
            return _syslog(rest, severity[1], self.finder)
        if stamp.re is not None and "dotted" in self.finder_names() and (bgl := _BGL.match(rest)):
            level = CANONICAL.get(bgl["level"], bgl["level"])
            return Head((bgl["message"] or "").strip(), level, f"{bgl['type']} {bgl['part']}", bgl["node"])
        if self.name == "syslog" or (before[:1] in ("-",) and "epoch" in self.finder_names()):
            return _syslog(rest, "", self.finder)
        return _generic(before, rest)

    def finder_names(self) -> frozenset[str]:
        return frozenset(shape.name for shape, _ in self.finder.order[:1])


def severity_words(blob: bytes) -> bytes:
    """Write the level for the number in `<34>` at line starts: levels must not hide in digits."""
    return re.sub(rb"(?m)^<(\d{1,3})>", lambda m: b"<" + SYSLOG[int(m[1]) & 7].encode() + b">", blob)


def split_level(text: str) -> tuple[str, str, str]:
    """Split a message that may start with its own [pid], user@db, level and source: level, source, message."""
    return _consume(text)


def looks_like_syslog(line: bytes, finder: StampFinder) -> bool:
    """Say whether a line is stamp, host, program, message."""
    stamp = finder.find(line)
    if stamp is None:
        return False
    if stamp.start():
        return _PRI.match(line) is not None and stamp.start() <= 7
    return _syslog_parts(line[stamp.end() :].decode("utf-8", "replace")) is not None


def _syslog_parts(rest: str) -> re.Match[str] | None:
    found = _SYSLOG.match(rest)
    if not found or found["host"].upper() in CANONICAL or found["prog"].upper() in CANONICAL or found["host"] == "-":
        return None
    return found


def _syslog(rest: str, severity: str, finder: StampFinder) -> Head:
    found = _syslog_parts(rest)
    if not found:
        alone = _HOST_ONLY.match(rest)
        host, message = (alone["host"], alone["message"]) if alone else ("", rest.strip())
        return Head(message, severity, "", host)
    level, _, message = inner_message(found["message"])
    return Head(message, level or severity, found["prog"], found["host"])


def inner_message(text: str) -> tuple[str, str, str]:
    """Split a message that a log system carried: its own stamp, [pid] and level leave it; level, source, message."""
    sequence = _SEQUENCE.match(text)
    plain = text[sequence.end() :] if sequence else text
    encoded = plain.encode("utf-8", "replace")
    stamp = _ANY_STAMP.find(encoded) if plain[:26].count(":") > 1 else None
    if stamp is not None:
        before, rest = encoded[: stamp.start()].decode(), encoded[stamp.end() :].decode("utf-8", "replace")
        if before.endswith("["):
            rest = rest.removeprefix("]")
        level, source, message = _consume(rest)
        return level, source, message
    asked = _ACCESS_LINE.match(plain)
    if asked:
        return "", "", f"{asked['who']} {asked['rest']}"
    role = re.match(r"\d+:[MSCX] \d\d \w{3} \d{4} [\d:.]+ ([.\-*#]) ", plain)
    if role:
        return _REDIS[role[1]], "", plain[role.end() :]
    level, message = _leading_level(plain)
    return level, "", message.strip()


def _leading_level(text: str) -> tuple[str, str]:
    rest = text.lstrip()
    pid = re.match(r"\[\d+\] ", rest)
    if pid:
        rest = rest[pid.end() :]
    rest = rest[_end(_DATABASE.match(rest)) :]
    more = _MORE.match(rest)
    if more:
        return more["word"], rest[more.end() :].strip()
    found = _LEVEL.match(rest)
    if not found:
        return "", rest if pid else text
    if not (found["open"] or rest[found.end() - 1 : found.end()] == ":" or _UPPER_LEVEL.match(rest)):
        return "", rest if pid else text
    return CANONICAL[found["word"].upper()], rest[found.end() :].strip()


def _rfc5424(rest: str, severity: str) -> Head:
    found = _RFC5424.match(rest)
    if not found:
        return Head(rest.strip(), severity)
    text, fields = found["rest"], {}
    if text.startswith("["):
        at = 0
        while element := _ELEMENT.match(text, at):
            for key, value in _PAIR.findall(element["pairs"]):
                fields[f"{element['id']}.{key}"] = re.sub(r"\\(.)", r"\1", value)
            at = element.end()
        text = text[at:]
    else:
        text = text.removeprefix("-")
    level, _, message = inner_message(text.strip().removeprefix("\ufeff"))
    if found["id"] != "-":
        message = f"{found['id']} {message}"
    return Head(message, level or severity, _dash(found["app"]), _dash(found["host"]), fields)


def _dash(word: str) -> str:
    return "" if word == "-" else word


def _access(before: str, rest: str) -> Head:
    who = before.split(" ", 1)[0]
    return Head(f"{who} {rest.removeprefix(']').strip()}")


def _generic(before: str, rest: str) -> Head:
    level = source = host = ""
    redis = _REDIS_ROLE.match(before)
    if redis and rest[:1] == " " and rest[1:2] in _REDIS:
        return Head(rest[2:].strip(), _REDIS[rest[1]], "")
    if before[-1:] in LETTERS and before.rstrip()[-2:-1] in ("", " ") and before == before.rstrip():
        level = LETTERS[before[-1]]
        before = before[:-1]
    else:
        before = _ALERT_LABEL.sub("", before)
    words = [w for w in before.split() if not _PREFIX_NOISE.match(w)]
    if len(words) > 1:
        host, source = words[0], " ".join(words[1:])
    elif words:
        source = words[0].rstrip("|:")
    found_level, found_source, message = _consume(rest)
    return Head(message, found_level or level, found_source or source, host)


def _consume(rest: str) -> tuple[str, str, str]:
    """Take numbers, threads, level and source from the front until the message starts."""
    text = rest.lstrip(" \t,;:")
    if text.startswith("|"):
        return _piped(text)
    level = source = ""
    for _ in range(8):
        skip = _SKIP.match(text)
        if skip and not (source and text[:1] not in "-|"):
            text = text[skip.end() :].lstrip()
            continue
        if not level:
            text = text[_end(_DATABASE.match(text)) :]
            more = _MORE.match(text)
            if more:
                return more["word"], source, text[more.end() :].strip()
            step = _take_level(text)
            if step:
                level, module, text = step
                source = source or module
                text = text.lstrip()
                continue
            name = _NAME_THEN_LEVEL.match(text)
            if name:
                source, text = name["name"], text[name.end() :].lstrip()
                continue
        thread = _thread(text, bool(level))
        if thread:
            source, text = thread[0] or source, thread[1]
            if thread[2]:
                return level, source, text.strip()
            continue
        break
    return _rest_of(text, level, source, rest)


def _rest_of(text: str, level: str, source: str, whole: str) -> tuple[str, str, str]:
    """Take what may name the source from the front of what is left: level, source, message."""
    placed = _GO_FILE.match(text)
    if placed:
        return level, placed["name"], text[placed.end() :].strip()
    if not source or level:
        named, text = _take_source(text, bool(level))
        source = named or source
    if level and not text.strip():  # nothing but a level: it is what the line has to say
        return "", source, whole.strip()
    return level, source, text.strip()


def _take_level(text: str) -> tuple[str, str, str] | None:
    module = _MODULE_LEVEL.match(text)
    if module:
        return CANONICAL.get(module["word"].upper(), "TRACE"), module["module"], text[module.end() :]
    found = _LEVEL.match(text)
    if found:
        return CANONICAL[found["word"].upper()], "", text[found.end() :]
    letter = re.match(r"(?:\[([VTDINWECF])\]|([VDIWEF])(?=[ /] ?\S+ *(?:\( *\d+\))?: ))[ /]?", text)
    if letter:
        return LETTERS[letter[1] or letter[2]], "", text[letter.end() :]
    return None


def _thread(text: str, levelled: bool) -> tuple[str, str, bool] | None:
    """Take a bracketed thread or logger: source or "", the text behind, whether the header ends here."""
    found = _BRACKET.match(text)
    if not found:
        return None
    inside, behind = found[1], text[found.end() :]
    placed = re.search(r":(?P<name>[\w$]+)@\d+$", inside)
    if placed and behind.startswith("- "):
        return placed["name"], behind[2:], True
    if not levelled:
        stripped = behind.lstrip("- |")
        return ("", stripped, False) if _take_level(stripped) or _NAME_THEN_LEVEL.match(stripped) else None
    if _COLON_SOURCE.match(behind) or _DASH_SOURCE.match(behind):
        return "", behind, False
    if re.fullmatch(r"[A-Za-z_$][\w$]*(?:\.[\w$]+)+", inside):
        return inside, behind.removeprefix("- "), True
    return None


def _take_source(text: str, levelled: bool) -> tuple[str, str]:
    patterns = [_COLON_SOURCE, _DASH_SOURCE, _DOTTED_SOURCE, _COLUMN_SOURCE] if levelled else []
    for pattern in patterns:
        found = pattern.match(text)
        if found and len(found["name"]) <= 120:
            return re.sub(r":\d+$", "", found["name"]), text[found.end() :]
    return "", text


def _piped(text: str) -> tuple[str, str, str]:
    level = source = ""
    parts = [part.strip() for part in text.strip("|").split("|")]
    while len(parts) > 1:
        part = parts[0]
        if part.upper() in CANONICAL:
            level = level or CANONICAL[part.upper()]
        elif not part.replace(".", "").isdigit() and part:
            if source or not re.fullmatch(_NAME, part):
                break
            source = part
        parts.pop(0)
    return level, source, "|".join(parts).strip()


def _end(match: re.Match[str] | None) -> int:
    return match.end() if match else 0
