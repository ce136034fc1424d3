/** The folder of the built page, for `serve({ studio: { page } })` and `createServer`. */
export declare const page: string;
