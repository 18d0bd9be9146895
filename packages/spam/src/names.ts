import { shown } from './headers.js';
import type { Report } from './symbols.js';

const LIST = (names: string) => new Set(names.split(' '));
/** Programs that a double click runs. */
export const PROGRAMS = LIST(
  'exe scr com pif msi msp mst cpl dll sys drv ocx apk app appx msix gadget jar xll deb rpm dmg pkg run elf bin',
);
/** Scripts and shortcuts that a double click runs. */
export const SCRIPTS = LIST(
  'bat cmd js jse vbs vbe vb wsf wsh wsc sct hta ps1 ps1xml ps2 psc1 msh reg inf ins isp lnk url scf shb shs chm hlp cnt job ' +
    'library-ms search-ms settingcontent-ms application appref-ms ade adp mda mdb mde asx iqy slk sh command desktop one onepkg',
);
export const DISK_IMAGES = LIST('iso img vhd vhdx udf daa');
export const ARCHIVES = LIST('zip rar 7z gz tgz tar bz2 xz cab arj lzh ace z');
export const MACRO_DOCUMENTS = LIST('docm dotm xlsm xltm xlam pptm potm ppam ppsm sldm');
const DOCUMENTS = LIST(
  'pdf doc docx xls xlsx ppt pptx odt ods rtf txt csv jpg jpeg png gif bmp tif tiff mp3 mp4 avi mov html htm eml zip',
);

/** A file's name, as a person sees it and as a program takes it. */
export interface FileName {
  /** The last extension in lower case, without its dot; empty where there is none. */
  readonly extension: string;
  /** `pdf` of `invoice.pdf.exe`, where it is one of a document. */
  readonly shownExtension: string | undefined;
  /** A character that turns the direction of writing. */
  readonly reversed: boolean;
  /** Blanks push the extension away from the rest. */
  readonly padded: boolean;
}

/** Characters at either end of a name that are looked at; nobody sees more, and patterns take the square of their text. */
const LONGEST = 512;

export function readFileName(given: string): FileName {
  const name = given.length > 2 * LONGEST ? given.slice(0, LONGEST) + given.slice(-LONGEST) : given;
  // Windows takes dots and blanks off the end.
  const plain = name.replace(/[\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g, '').replace(/[.\s]+$/, '');
  const base = plain.slice(Math.max(plain.lastIndexOf('/'), plain.lastIndexOf('\\')) + 1);
  const parts = base.split('.');
  const last = parts.length > 1 ? (parts.at(-1) ?? '') : '';
  const before = parts.length > 2 ? (parts.at(-2) ?? '').trim().toLowerCase() : '';
  return {
    extension: last.trim().toLowerCase(),
    shownExtension: DOCUMENTS.has(before) ? before : undefined,
    reversed: /[\u202a-\u202e\u2066-\u2069\u200f]/.test(given),
    padded: /[\s\u00a0\u2800\u3000]{5,}\.?[a-z0-9]{1,5}$/i.test(base),
  };
}

/** Judges a file by its name. @returns whether it is something that runs. */
export function checkName(
  name: string,
  { extension, shownExtension, reversed, padded }: FileName,
  report: Report,
): boolean {
  const runs = PROGRAMS.has(extension) || SCRIPTS.has(extension);
  if (PROGRAMS.has(extension)) report('ATTACH_EXECUTABLE', shown(name));
  else if (SCRIPTS.has(extension)) report('ATTACH_SCRIPT', shown(name));
  if (MACRO_DOCUMENTS.has(extension)) report('ATTACH_MACRO', shown(name));
  if (runs && shownExtension) report('ATTACH_DOUBLE_EXTENSION', shown(name));
  if (reversed) report('ATTACH_REVERSED_NAME', shown(name));
  if (padded) report('ATTACH_PADDED_NAME', shown(name));
  return runs;
}
