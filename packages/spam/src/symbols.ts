/** What a symbol means and how much it counts. */
export interface SymbolMeaning {
  /** Points it adds unless `spam.scores` says otherwise. */
  readonly score: number;
  readonly meaning: string;
}

/**
 * Every symbol that the heuristics give, in the order of docs/spam.md. Scores are points of the scale on which 5 is marked
 * as spam and 15 refused.
 */
export const SYMBOLS = {
  GTUBE: { score: 1_000, meaning: 'The test pattern that every spam filter stops' },

  DATE_MISSING: { score: 1, meaning: 'No Date field, which RFC 5322 asks for' },
  DATE_INVALID: { score: 0.8, meaning: 'The Date field holds no date' },
  DATE_IN_FUTURE: { score: 1.5, meaning: 'The Date field is more than a day ahead' },
  DATE_IN_PAST: { score: 0.5, meaning: 'The Date field is more than a week old' },
  FROM_MISSING: { score: 2, meaning: 'No From field, or no address in it' },
  FROM_INVALID: { score: 1.5, meaning: 'The address in From cannot be one' },
  FROM_SEVERAL: { score: 2, meaning: 'Several From fields: programs show different ones' },
  FROM_NAME_IS_OTHER_ADDRESS: { score: 2.5, meaning: 'The name in From shows an address of another domain' },
  FROM_IS_RECIPIENT: { score: 0.7, meaning: 'From is the recipient' },
  FROM_RANDOM: { score: 0.4, meaning: 'The local part of From looks made by a machine' },
  FIELD_REPEATED: { score: 1, meaning: 'A field comes twice that may come once' },
  FIELD_CONTROL_CHARACTERS: { score: 1.5, meaning: 'Control characters in a header field' },
  FIELD_RAW_8BIT: { score: 0.6, meaning: 'Header octets that are neither ASCII nor UTF-8' },
  MESSAGE_ID_MISSING: { score: 0.7, meaning: 'No Message-ID field' },
  MESSAGE_ID_INVALID: { score: 0.7, meaning: 'A Message-ID that has not the form of one' },
  TO_MISSING: { score: 0.5, meaning: 'Neither To nor Cc' },
  TO_UNDISCLOSED: { score: 0.5, meaning: 'To names no address' },
  REPLY_TO_FREE_MAIL: { score: 1.5, meaning: 'Answers go to a free mailbox of another domain than From' },
  SUBJECT_MISSING: { score: 0.3, meaning: 'No Subject, or an empty one' },
  SUBJECT_CAPITALS: { score: 0.7, meaning: 'The Subject is in capitals' },
  SUBJECT_SHOUTS: { score: 0.5, meaning: 'Exclamation marks or money signs in a row in the Subject' },
  SUBJECT_GAP: { score: 2, meaning: 'The Subject ends in a mark after many blanks' },
  SUBJECT_ENCODED_ASCII: { score: 0.8, meaning: 'The Subject is encoded though it needs not be' },
  SUBJECT_HIDDEN_CHARACTERS: { score: 1.5, meaning: 'Invisible characters within words of the Subject' },
  SUBJECT_FALSE_REPLY: { score: 0.4, meaning: 'The Subject says Re:, and the message answers none' },
  BULK_MAILER: { score: 1, meaning: 'The program named in the header is one for bulk mail' },

  MIME_REPEATED_FIELD: { score: 2, meaning: 'A part says twice what it is: programs see different things' },
  MIME_REPEATED_PARAMETER: { score: 1.5, meaning: 'A part has a parameter twice' },
  MIME_NO_BOUNDARY: { score: 1.2, meaning: 'A multipart without a boundary, or one that is not used' },
  MIME_NOT_CLOSED: { score: 0.3, meaning: 'A multipart that does not end' },
  MIME_TOO_MANY_PARTS: { score: 2, meaning: 'More parts than are looked at' },
  MIME_TOO_DEEP: { score: 3, meaning: 'Parts nested deeper than is looked at' },
  MIME_UNKNOWN_ENCODING: { score: 1, meaning: 'A transfer encoding that there is not' },
  MIME_ENCODED_MULTIPART: { score: 1.5, meaning: 'A multipart in base64, which RFC 2045 forbids' },
  MIME_NO_HEADER_END: { score: 0.5, meaning: 'The header section does not end' },
  MIME_NO_VERSION: { score: 0.4, meaning: 'MIME fields without MIME-Version' },
  MIME_BASE64_ASCII: { score: 2, meaning: 'Plain ASCII text hidden in base64' },
  MIME_HTML_ONLY: { score: 1, meaning: 'HTML without a plain form of the text' },
  MIME_TEXT_DIFFERS: { score: 1, meaning: 'The plain form has next to none of the text of the HTML form' },

  HTML_HIDDEN_TEXT: { score: 1.5, meaning: 'Text that is not shown' },
  HTML_IMAGE_ONLY: { score: 1.2, meaning: 'A linked picture in place of text' },
  HTML_FORM: { score: 0.7, meaning: 'A form to fill in' },
  HTML_PASSWORD: { score: 3, meaning: 'A form that asks for a password' },
  HTML_SCRIPT: { score: 0.7, meaning: 'A script' },
  HTML_FRAME: { score: 0.5, meaning: 'A frame or an embedded object' },
  HTML_REFRESH: { score: 2, meaning: 'The page loads another one by itself' },
  HTML_BASE: { score: 0.7, meaning: 'Links are relative to a base elsewhere' },
  HTML_SPLIT_WORDS: { score: 1.5, meaning: 'Words split by empty markup, comments or invisible characters' },
  HTML_UNBALANCED: { score: 0.3, meaning: 'Unknown elements in numbers' },

  LINK_TEXT_MISMATCH: { score: 2, meaning: 'A link shows another host than it goes to' },
  LINK_ADDRESS: { score: 2, meaning: 'A link goes to an IP address' },
  LINK_ADDRESS_DISGUISED: { score: 3, meaning: 'A link goes to an IP address written as a number, in hex or octal' },
  LINK_DATA: { score: 3, meaning: 'A link holds its page itself (data:)' },
  LINK_SCRIPT: { score: 2.5, meaning: 'A link runs a script' },
  LINK_USER: { score: 2.5, meaning: 'A link with a user name, which looks like a host' },
  LINK_ESCAPED_HOST: { score: 2, meaning: 'A link whose host is written in escapes' },
  LINK_PUNYCODE: { score: 0.7, meaning: 'A link to an internationalised host name' },
  LINK_MIXED_SCRIPTS: { score: 3, meaning: 'A host name with letters of several scripts that look alike' },
  LINK_LOOKALIKE: { score: 3.5, meaning: 'A link to a host that looks like a protected domain' },
  LINK_BRAND_IN_HOST: { score: 2.5, meaning: "A protected domain as part of another host's name" },
  LINK_REDIRECTS: { score: 1.5, meaning: 'A link with several other links within it' },
  LINK_SHORTENER: { score: 0.5, meaning: 'A link by a service that hides where it goes' },
  LINK_PORT: { score: 0.7, meaning: 'A link to an unusual port' },
  LINK_PROGRAM: { score: 2, meaning: 'A link to a program' },
  FROM_LOOKALIKE: { score: 4, meaning: 'From is of a domain that looks like a protected one' },
  FROM_MIXED_SCRIPTS: { score: 3, meaning: 'The domain of From has letters of several scripts that look alike' },
  FROM_NAME_IS_BRAND: { score: 2.5, meaning: 'The name in From is a protected domain, its address another' },

  TEXT_ADVANCE_FEE: { score: 3, meaning: 'Several phrases of advance-fee fraud' },
  TEXT_MONEY_MANY: { score: 0.5, meaning: 'Many sums of money' },
  TEXT_BULK_EXCUSE: { score: 1.5, meaning: 'Phrases by which bulk mail excuses itself' },
  TEXT_OFFER: { score: 2, meaning: 'Several phrases of offers that nobody asked for' },

  ATTACH_EXECUTABLE: { score: 8, meaning: 'A program by its name' },
  ATTACH_EXECUTABLE_HIDDEN: { score: 10, meaning: 'A program by its content under the name of something else' },
  ATTACH_SCRIPT: { score: 8, meaning: 'A script or shortcut that a double click runs' },
  ATTACH_DOUBLE_EXTENSION: { score: 5, meaning: 'A program named like a document (invoice.pdf.exe)' },
  ATTACH_REVERSED_NAME: { score: 6, meaning: 'Characters that turn the writing direction in a file name' },
  ATTACH_PADDED_NAME: { score: 4, meaning: 'Blanks that push the extension of a file out of sight' },
  ATTACH_TYPE_MISMATCH: { score: 1, meaning: 'The content is not what the name says' },
  ATTACH_HTML: { score: 0.7, meaning: 'A page as attachment' },
  ATTACH_HTML_PASSWORD: { score: 5, meaning: 'A page as attachment that asks for a password or sends a form' },
  ATTACH_DISK_IMAGE: { score: 4, meaning: 'An image of a disk' },
  ATTACH_MACRO: { score: 4, meaning: 'A document with macros' },
  ATTACH_REMOTE_TEMPLATE: { score: 5, meaning: 'A document that loads a template or object from elsewhere' },
  ATTACH_DOCUMENT_ENCRYPTED: { score: 2, meaning: 'A document that cannot be looked into without its password' },
  ATTACH_PDF_ACTIVE: { score: 2, meaning: 'A PDF with a script, or that starts a program' },
  ATTACH_ARCHIVE_PROGRAM: { score: 8, meaning: 'An archive that holds a program or script' },
  ATTACH_ARCHIVE_ENCRYPTED: { score: 2, meaning: 'An archive that cannot be looked into without its password' },
  ATTACH_ARCHIVE_BOMB: { score: 8, meaning: 'An archive that would unpack to far more than it is' },
  ATTACH_ARCHIVE_NESTED: { score: 1.5, meaning: 'Archives within archives, deeper than is looked at' },
  ATTACH_ARCHIVE_BROKEN: { score: 1, meaning: 'An archive that cannot be read' },
  EICAR: { score: 1_000, meaning: 'The test file that every virus scanner stops' },

  HELO_MISSING: { score: 1, meaning: 'The client gave no name' },
  HELO_IS_US: { score: 3, meaning: "The client greets with this server's name" },
  HELO_BARE_NAME: { score: 1, meaning: 'The client greets with a name without domain' },
  HELO_ADDRESS: { score: 1.5, meaning: 'The client greets with an address without brackets' },
  HELO_LITERAL_MISMATCH: { score: 2, meaning: 'The client greets with another address than its own' },
  HELO_LOCAL: { score: 2, meaning: 'The client greets with a name that exists on no network' },
  HELO_UNRESOLVED: { score: 1, meaning: 'The name the client greets with has no address' },
  RDNS_MISSING: { score: 1.5, meaning: "The client's address has no name" },
  RDNS_UNCONFIRMED: { score: 1, meaning: "The name of the client's address is not of that address" },
  RDNS_GENERIC: { score: 1.2, meaning: "The name of the client's address is one that providers give to customers" },
} as const satisfies Record<string, SymbolMeaning>;

export type SymbolName = keyof typeof SYMBOLS;

/** One thing that a heuristic found. */
export interface Found {
  readonly symbol: SymbolName;
  /** What of the message it was, for a person; at most a sentence. */
  readonly reason: string;
}

/** Takes what heuristics find. */
export type Report = (symbol: SymbolName, reason: string) => void;
