/** Log odds that lessons may add or take in all: so much and no more can be taught wrong. */
export const MOST_TAUGHT = 6;
