import type { BounceCause } from './cause.js';

/** One family of wordings. `not` names what looks alike and means something else. */
export interface TextRule {
  readonly cause: BounceCause;
  readonly text: RegExp;
  readonly not?: RegExp;
}

/** What stands between "user" and "unknown" at most. */
const NEAR = '[^.;!?]{0,48}';
const MAILBOX =
  '(?:user|recipient|mail ?box|e-?mail address|address|account|addressee|alias|destinataire|customer|inbox)';
const NOT_THERE =
  "(?:unknown|not (?:be )?(?:found|known|exist|valid|listed|recogni[sz]ed|available|in use)|does ?n[o']?t (?:exist|have)|no longer (?:exists?|valid|available|on|in use|active)|non-?existent|invalid|inconnue?|invalide|unavailable|undeliverable)";

/**
 * Tried in this order: what names a clear reason comes before what only says that something was refused. The wordings are
 * those of common servers (Postfix, Exim, Sendmail, qmail, Exchange, Courier) and of the large providers.
 */
export const TEXT_RULES: readonly TextRule[] = [
  { cause: 'mailer_error', text: /\bprocmail:|command died with status|command time limit exceeded|pipe to \|/ },
  { cause: 'host_unknown', text: /domain is not reachable/ },
  { cause: 'system_error', text: /\bldap\b/ },
  {
    cause: 'security',
    text: /unauthenticated senders?|authentication required|authrequired/,
    not: /relay|(?:mail|smtp) server requires/,
  },
  { cause: 'not_compliant', text: /(?:duplicate|multiple|more than one) (?:[\w-]+ )?headers?\b/ },
  { cause: 'policy', text: /content presents a potential|for policy reasons/ },
  { cause: 'spam', text: /black-?listed url|mail rejected\. ofr/ },
  { cause: 'filtered', text: /recipient preferences/ },
  { cause: 'user_unknown', text: /recipient address rejected: access denied|recipient name is not recogni[sz]ed/ },
  { cause: 'network_error', text: /^\W*(?:smtp; ?)?dns error\b/, not: /null mx/ },
  { cause: 'virus', text: /\bvirus|malware|infected|trojan|\bworm\b|ransomware/ },
  {
    cause: 'auth_failure',
    text: /\bdmarc\b|\bdkim\b|\bspf\b|sender policy framework|(?:un|not )authenticated (?:e-?mail|mail|sender|message)|does not (?:have|pass)[^.]{0,40}authentication|authentication (?:information|checks?|results?) (?:fail|do)|sender id (?:\(pra\)|failed)/,
    not: /smtp auth|senders? not allowed/,
  },
  {
    cause: 'reverse_dns',
    text: /reverse[ -]?(?:dns|lookup|mapping|address|hostname)|\br-?dns\b|\bptr\b|cannot (?:find|resolve) your (?:reverse )?(?:hostname|address|ip)|(?:unresolvable|no) (?:reverse|relay) (?:name|host ?name)|(?:ip|address|client|host)[^.]{0,40}(?:does not|doesn't|not) (?:resolve|match)|no matches to nameserver query|hostname (?:is )?required|mismatch(?:es)? (?:the )?client ip|forward[- ]confirmed/,
  },
  {
    cause: 'bad_reputation',
    text: /user complaints|unexpected volume|(?:poor|low|bad|ip|domain|sender|negative|web) reputation|reputation (?:of|is|score)/,
  },
  {
    cause: 'too_many_connections',
    text: /connection rate limit|too many (?:concurrent |simultaneous |open |smtp )?(?:connections?|sessions|recipients)|(?:connections?|sessions) (?:limit|exceeded|count)|max(?:imum)?[^.]{0,24} (?:connections|sessions)|(?:concurrent|simultaneous) connections?|all available (?:ips|connections)/,
  },
  {
    cause: 'rate_limited',
    text: /rate[- ]?limit|throttl|too (?:fast|frequent|many (?:messages|e?-?mails|mails|attempts))|exceeded[^.]{0,40}(?:rate|per (?:hour|minute|day))|unusual rate|slow down|sending (?:rate|speed)|frequency/,
    not: /hop/,
  },
  {
    cause: 'blocked',
    text: /blocked (?:using|by|because|due to (?:the|your) ip)|(?:ip|host|address|client|server|domain|network|\]|sender)[^.;]{0,60}(?:black ?-?list|block ?-?list|blocked|banned|deny list)|black ?-?listed|\bblocklisted|\bd?n?s?rbl\b|\bdnsbl\b|spamhaus|sorbs|spamcop|barracuda|cbl\.abuseat|banned sending|client host (?:rejected|\[)|(?:bad|invalid|forged|rejected|reject)[^.]{0,16} (?:helo|ehlo)|(?:helo|ehlo)[^.]{0,60}(?:reject|refused|denied|invalid|blocked|bad)|dynamic (?:ip|address|host)|dial-?up|open (?:relay|proxy)|connections? (?:from|by|dropped)[^.]{0,60}(?:refused|denied|rejected|not accepted|dropped)|(?:ip|address|host|server)[^.]{0,40}(?:refused|denied|not (?:allowed|authori[sz]ed|permitted))|access (?:from|to)[^.]{0,40}ip|no (?:access|mail) from|your (?:ip|host|server|network|mail server|email (?:server|service))[^.]{0,60}(?:reject|denied|refused|black|block|not (?:accept|allow))|refused to talk to me|use (?:the |your )(?:smtp server of your isp|isp)|closed:? (?:your|service)/,
    not: /sender address rejected|user unknown|mailbox|spam (?:content|message)|quota/,
  },
  {
    cause: 'spam',
    text: /\bspam\b|\bspammy\b|unsolicited|\bjunk\b|\bbulk\b|\buce\b|spam ?assassin|spamtrap|bayes|scored|surbl|\buribl\b|\bdbl\b|looks like|phish|rejected (?:due to|because of|by|for) (?:the )?content|content (?:filter|reject|block)|black-?listed url|suspicious/,
  },
  {
    cause: 'mailbox_full',
    text: /(?:mail ?box|inbox|mail ?drop|account|user|box|mail ?folder|storage)[^.;]{0,40}(?:is |was |are )?(?:full|over ?quota|exceed(?:s|ed)?|at (?:its )?limit|too large)|over ?-?quota|(?:exceed|exceeds|exceeded|exceeding)[^.;]{0,40}(?:quota|storage|allocation|mailbox|disk)|quota[^.;]{0,24}(?:exceed|full|reached|violation|limit)|out of (?:storage|space|disk)|full (?:mailbox|quota)|mailfolder is full|(?:disk|storage) (?:quota|space)[^.;]{0,20}(?:exceed|full|insufficient)|does not have enough (?:disk )?space|not enough (?:storage|space|disk) (?:space )?(?:in|for) (?:the )?(?:mailbox|user|recipient)|boîte pleine|user has too many messages|maildir (?:delivery failed|over)/,
    not: /size limit for this (?:system|message)|message size/,
  },
  {
    cause: 'system_full',
    text: /insufficient (?:system )?(?:storage|disk|resources)|(?:file ?system|disk|partition|volume) (?:is )?full|no space left/,
  },
  {
    cause: 'limit_exceeded',
    text: /message length exceeds administrative limit|(?:exceeds?|over)[^.;]{0,30}(?:recipient|mailbox|account)(?:'s)?[^.;]{0,16}(?:size )?limit|message (?:too large|exceeds)[^.;]{0,30}for (?:this|the) (?:recipient|mailbox|account|user)/,
  },
  {
    cause: 'message_too_big',
    text: /(?:message|mail|e-?mail|size|data|content|attachment)[^.;]{0,40}(?:too (?:big|large|long)|exceed(?:s|ed)?[^.;]{0,40}(?:size|limit|maximum|max)|over (?:the )?(?:size|limit))|(?:size|length) (?:limit|exceed)|exceed(?:s|ed)?[^.;]{0,40}(?:message|max(?:imum)?|mail|fixed)[^.;]{0,20} size|larger than|maximum (?:message )?size/,
    not: /headers? too large|line too long|queue too long/,
  },
  {
    cause: 'has_moved',
    text: /has (?:been )?(?:moved|replaced)|moved to|(?:user|recipient|account|address|mailbox)[^.;]{0,30}(?:moved|relocated|changed)|no longer (?:works|at|employed|with|on server|here|uses)|new (?:e-?mail )?address|not our customer|changed (?:his|her|their|my) (?:e-?mail )?address/,
  },
  {
    cause: 'suspended',
    text: /(?:account|mail ?box|user|recipient|address|domain|customer|inbox|addressee|email)[^.;]{0,40}(?:disabled|suspended|inactive|deactivated|locked|frozen|expired|dormant|blocked|closed|discontinued|not (?:been )?(?:activated?|enabled))|(?:disabled|suspended|inactive|deactivated|locked|frozen|dormant|discontinued) (?:account|mail ?box|user|recipient|address|customer)|disableduser|temporarily (?:disabled|suspended|locked|unavailable for)|out of (?:business|service)|invalid\/inactive|boundary mailbox/,
    not: /relay|sender|envelope expired|delivery (?:time )?expired/,
  },
  {
    cause: 'no_relaying',
    text: /relay(?:ing)?[^.;]{0,24}(?:denied|prohibited|not (?:allowed|permitted|authori[sz]ed)|access|disabled|refused|rejected)|(?:unable|not (?:permitted|allowed|able|authori[sz]ed)|won't|isn't allowed|cannot|do(?:es)? not) to relay|not (?:a |an )?(?:open )?(?:relay|gateway)|we do not relay|isn't in my (?:control|list)|that domain isn't|insecure mail relay|not local|(?:mail|smtp) server requires authentication|(?:authentication|auth|login) (?:is )?required|this system is not configured to relay|no relaying|unauthori[sz]ed relay/,
  },
  {
    cause: 'not_accept',
    text: /null ?mx|couldn't find a mail exchanger or ip address|no smtp service|does not accept (?:e-?)?mail|(?:domain|host|server|system)[^.;]{0,30}(?:does(?: not|n't)|never) (?:accept|receive)s? (?:e-?|any )?mail|mx or srv record indicated|smtp protocol returned a permanent|name service error.{0,120}malformed|not accept(?:ing)? any mail/,
    not: /client|your (?:ip|host)|ptr/,
  },
  {
    cause: 'not_compliant',
    text: /multiple addresses in from|rfc ?(?:2?822|5322|5321|2821)|(?:missing|duplicate|multiple|more than one|several) [^.;]{0,20}headers?|not rfc|non-?compliant|(?:bare|naked) (?:lf|cr|line)|single address in from|invalid header|message is not compliant/,
  },
  { cause: 'security', text: /access denied/, not: /\bip\b|banned|sender|by recipient|blocked/ },
  {
    cause: 'user_unknown',
    text: new RegExp(
      [
        `${MAILBOX}${NEAR}\\b${NOT_THERE}`,
        `(?:unknown|no such|invalid|bad|non-?existent|unrecogni[sz]ed|undeliverable|not a valid|not a known|incorrect|wrong) (?:local |virtual |destination |mail |e-?mail |mailbox |or illegal )?(?:user|recipient|mail ?box|address|account|alias|local[- ]?part|person|addressee|mail drop|id|customer|mailaddress)`,
        `no (?:mail ?box|user|account|recipient|person|valid recipients?|such (?:user|id))\\b`,
        `(?:user|recipient|name|address)[^.;]{0,48}(?:not|isn't|no)[^.;]{0,12} (?:listed|recogni[sz]ed|in (?:the |our )?(?:directory|database|list|alias))`,
        `recipnotfound|adr\\.rec|recipient not found|couldn't be found|could not be found|wasn't found|was not found in the recipient`,
        `recipient address rejected\\.?$|address rejected[.!]?\\s*\\S*$|i cannot deliver mail for|there is no (?:one|user) (?:at|with|by)|does not (?:like|have) (?:a )?(?:mail ?box|account|user|yahoo)|this user (?:doesn't|does not) have`,
        `mail ?box (?:is )?(?:unavailable|not found|does not|name not allowed)|sorry,? no mail ?box|not (?:a |our )?(?:valid )?customer|destinataire|utilisateur inconnu`,
        `all recipients (?:were )?(?:rejected|addresses rejected)|the account or domain may not exist|unknown to (?:this|our) (?:system|server)|answer=6596`,
      ].join('|'),
    ),
    not: /\bsender\b|envelope from|mail from|return ?-?path|domain (?:does|not|unknown|name|of)|host(?:name)? (?:unknown|not|name)|unknown host|list ?server|client|\bgroup\b/,
  },
  {
    cause: 'host_unknown',
    text: /host x not found|(?:^|: )\W*x (?:does not|doesn't) exist\W*$|(?:unknown|no such|invalid|illegal|bad|unrouteable|unresolvable|non-?existent)[^.;]{0,16} (?:mail )?(?:host|domain|destination (?:system|host|domain))|(?:host|domain|system|mx)(?:name| name)?\b[^.;]{0,60}(?:unknown|not (?:be )?(?:found|exist|valid|known|resolve)|does(?: not|n't) (?:exist|resolve)|lookup (?:error|fail)|is (?:invalid|unknown)|has no)|can(?:'|no)t find (?:a |any )?host|couldn't find (?:any|a) host|nxdomain|name or service not known|no (?:mx|a|mail) (?:record|host|exchanger)|no route for domain|unrouteable (?:mail|address)/,
    not: /sender|your|ptr|reverse|from address|mail from|timed? ?out|temporar|try again|\bhelo\b/,
  },
  {
    cause: 'sender_rejected',
    text: /(?:sender|envelope from|from address|mail from|return path|originator|envelope sender|from:|domain of sender)[^.;]{0,80}(?:reject|refus|denied|deny|invalid|not (?:allowed|exist|accept|valid|resolve|found|permitted|verified)|does(?: not|n't)|block|unknown|unresolv|unable|could not|must|bad|fail|banned|disallow)|(?:reject|refus|deny|denied|invalid|bad|unverified|unknown|unable to verify|could not verify|spoofed|fake|empty|null)[^.;]{0,24} (?:sender|envelope sender|from address|return path|originator|mail from)|sender was rejected|purported responsible address|groups\.google|domain must (?:exist|resolve)|does not exist e\d+|backscatter|server rejected mail from|not logged in as/,
  },
  {
    cause: 'filtered',
    text: /because the recipient is (?:not accepting|only accepting)|recipient(?! (?:server|domain|host|mail))[^.;]{0,30}(?:not accept|refuse[sd]?|rejected (?:your|this|the)|only accepts|has (?:blocked|rejected))|not accepting (?:mail|e-?mail|messages)|(?:rejected|refused|blocked|discarded) by (?:the )?(?:recipient|user|addressee|owner|subscriber)|user (?:refuses?|reject|has blocked)|(?:mail|message|delivery)[^.;]{0,24}(?:filter|not authori[sz]ed by)|permission to (?:post|send)|(?:mail ?box|recipient|user|address)[^.;]{0,24}(?:restrict|does not accept|only accept|unavailable)|members? only|unable to deliver: it might be full|access denied by recipient|recipients (?:was|were) rejected by a remote|dear, you are|you have been blocked by the recipient|receiver(?:'s)? (?:setting|filter)|bounced address/,
  },
  { cause: 'mailer_error', text: /^x-unix|command output/ },
  {
    cause: 'expired',
    text: /failed \d+ attempts|aborted after [\d.]+ (?:hour|day)|did not accept our requests to connect|(?:delivery|retry|message|envelope|queue)[^.;]{0,24}(?:time(?:d)?[ -]?(?:out|expired)|expired|period)|expired|timed? ?-?out|giving up|(?:for|been in (?:the )?queue) too long|could not be delivered (?:for|within|after)|not (?:been )?delivered (?:with|after|in)|retry (?:time|count|limit)|(?:days|hours|seconds|minutes) (?:ago|old|without)|delivery attempts? (?:fail|exceed)|message (?:will be deleted|lifetime)|too old|still (?:be )?(?:retr|undelivered)|unable to deliver (?:message )?(?:after|for)|max(?:imum)? (?:queue|time|retry)|undeliverable for|delivery attempted for/,
    not: /(?:password|certificate|account|subscription)[^.]{0,20}expired|lookup fail/,
  },
  {
    cause: 'network_error',
    text: /network error|too many hops|hop count|(?:mail|routing|forwarding|message)[^.;]{0,16} loop|loops? back|loop detected|connection (?:refused|reset|lost|closed|broken|was dropped|failed)|network (?:is )?unreachable|(?:host|destination|server)[^.;]{0,20} unreachable|no route to host|(?:could|can) ?n[o']t (?:connect|establish)|unable to connect|establish an smtp connection|lookup fail(?:ure|ed)|name server|dns (?:error|fail|lookup|soft|temporar)|name service error|(?:host|domain) name lookup|no answer from host|lost connection|system or network|can't create socket|socket error|malformed or unexpected name server/,
  },
  {
    cause: 'mailer_error',
    text: /pipe to|\bmailer\b[^.]{0,24}(?:error|fail|returned)|exit(?:ed)? (?:with )?(?:status|code|value)|(?:command|program|child|process)[^.;]{0,40}(?:fail|died|exit|crash|returned|killed)|x-unix|return(?:ed)? (?:code|status)|procmail|operating system error|unknown mailer error|didn't exec|local delivery (?:error|failed)/,
  },
  {
    cause: 'security',
    text: /starttls|\btls\b|\bssl\b|certificate|encrypt|authentication (?:fail|turned|credentials|error)|password|security (?:policy|failure|reason|violation|suspect|check)|insecure|secure (?:connection|channel)|unauthori[sz]ed|verification fail|cipher/,
    not: /security polic/,
  },
  {
    cause: 'policy',
    text: /polic(?:y|ies)|prohibit|administrativ|local rule|not allowed to send|site rules|(?:banned|blocked|forbidden|executable) (?:file|attachment|extension|name)|attachment[^.;]{0,24}(?:type|not|block|reject|forbid)|terms of (?:use|service)|too many (?:bad|invalid)/,
  },
  {
    cause: 'content_error',
    text: /8-?bit|\bmime\b|charset|header[^.;]{0,24}(?:too (?:large|long|big)|invalid|error|malformed)|malformed|(?:content|body|character)[^.;]{0,24}(?:invalid|not (?:allowed|accept)|illegal|error)|line too long|improper use|message (?:format|content) /,
  },
  {
    cause: 'syntax_error',
    text: /syntax|(?:command|parameter|argument)s?[^.;]{0,24}(?:unrecogni[sz]ed|not (?:recogni[sz]ed|implemented|supported)|unknown|invalid|out of sequence)|bad sequence|protocol error|unrecogni[sz]ed command|nested mail/,
  },
  {
    cause: 'system_error',
    text: /system (?:error|fail|problem|config|trouble|not|is|resources)|server (?:error|config|fail|problem|busy|is (?:busy|down|not))|internal (?:server |software |system )?error|(?:temporar|local)[^.;]{0,24}(?:error|problem|fail|unavailable|resources)|configuration (?:error|problem)|\bldap\b|unable to contact|database|can't open|cannot open|i\/o error|service (?:unavailable|not available|currently)|resources (?:temporarily )?unavailable|out of memory|mail system|aliasing\/forwarding loop|try again later|requested action aborted|software error/,
    not: /this is the mail system/,
  },
  { cause: 'expired', text: /(?:has been|is|was|are) delayed|warning message only|will (?:be retried|keep trying)/ },
];
