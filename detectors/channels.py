"""Calls that speak to people or systems outside the agent: chat, mail, tickets, webhooks; told by what they do."""

from __future__ import annotations

import re
from functools import lru_cache

from detectors.model import Span


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_SPEAKS = _words(
    "send sends post posts reply publish notify tweet share forward broadcast email mail sms message comment upload "
    "dm announce respond"
)
_MAKES = _words("create add update edit write append open submit set insert draft")
_PLACES = _words(
    "slack discord teams telegram whatsapp twilio gmail outlook mail email sms chat channel message webhook jira "
    "linear zendesk intercom freshdesk hubspot salesforce servicenow issue ticket comment discussion thread review "
    "notion confluence asana trello monday clickup mattermost rocketchat webex zoom sendgrid mailgun mailchimp "
    "postmark pagerduty opsgenie statuspage gist paste page post note"
)
_READS = _words(
    "get list read search fetch find query view show download describe count check lookup export retrieve load "
    "history watch"
)
_RECIPIENT = re.compile(
    r'"(?:to|cc|bcc|recipients?|recipient_(?:id|email)|channel(?:_?id|_?name)?|chat_?id|room(?:_?id)?|phone(?:_?number)?'
    r'|to_(?:address|email|number)|email_?to|participants|attendees|webhook(?:_?url)?|thread_?ts|conversation_?id)"\s*:'
)
_CONTENT = re.compile(
    r'"(?:body|text|message|content|subject|html|blocks|markdown|comment|description|attachments?)"\s*:'
)
_POSTS = frozenset(("POST", "PUT", "PATCH"))
_BODY = re.compile(r'"(?:body|data|json|payload|content|form)"\s*:')
_CALLS = frozenset(("tool_call", "mcp_call"))


def channel(span: Span) -> str:
    """The tool or host by which the span's call speaks to the outside; empty where it does not."""
    kind = span.kind
    if kind in _CALLS:
        tool, server = span.text("tool.name"), span.text("mcp.server")
        named = _by_name(tool, server)
        if named is False:
            return ""
        arguments = span.text("arguments")
        if named or (_RECIPIENT.search(arguments) and _CONTENT.search(arguments)):
            return f"{server}/{tool}" if server else tool
        return ""
    if kind == "http_egress" and "arguments" in span.fields:
        posts = span.text("http.method").upper() in _POSTS or "post" in span.text("tool.name").lower()
        if posts or _BODY.search(span.text("arguments")):
            return span.text("egress.host") or span.text("tool.name")
    return ""


@lru_cache(maxsize=8192)
def _by_name(tool: str, server: str) -> bool | None:
    """True for a tool that speaks, False for one that reads, None where its name does not say."""
    words = [word.lower() for word in _WORD.findall(tool)]
    if tool.startswith("mcp__"):
        words = words[1:]
    own = [word for word in words if word not in _PLACES or word in _SPEAKS]
    first = next((word for word in own if word in _READS or word in _SPEAKS or word in _MAKES), "")
    if first in _READS:
        return False
    if first in _SPEAKS:
        return True
    places = {*words, *(word.lower() for word in _WORD.findall(server))} & _PLACES
    return True if first in _MAKES and places else None
