// Written by generate.ts from ../openapi.json: run `make clients`.
export interface paths {
    "/edits": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List edits, newest first
         * @description Edits that come while you turn the pages stand on the first one: no page repeats another, and none leaves an edit out.
         *
         *     Reports and estimates are not in lists: ask for the edit.
         */
        get: operations["listEdits"];
        put?: never;
        /**
         * Ask for an edit
         * @description Everything is checked before anything is kept: a refused edit leaves nothing behind. Follow the edit at `Location`.
         *
         *     As JSON, pictures are the ids of uploads (`POST /uploads`).
         */
        post: operations["createEdit"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/edits/{edit_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * See how an edit stands
         * @description Links in the answer are fresh each time; ask without `If-None-Match` to get new ones.
         */
        get: operations["getEdit"];
        put?: never;
        post?: never;
        /**
         * Erase an edit
         * @description Its photo, masks, prompts, results and report; also of what was learned ahead. The identity or attribute that it has learned
         *     stays: erase that by its own id.
         */
        delete: operations["eraseEdit"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/edits/{edit_id}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Cancel an edit
         * @description Safe to repeat. A waiting edit ends at once, a running one within a step; one that is over stays as it ended.
         */
        post: operations["cancelEdit"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/edits/{edit_id}/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Follow an edit by server-sent events
         * @description Without `Last-Event-ID` the stream begins with the oldest event that is kept. It ends also with the key or token.
         */
        get: operations["streamEdit"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/identities": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List learned identities
         * @description In the order of their ids.
         */
        get: operations["listIdentities"];
        put?: never;
        /**
         * Learn an identity ahead of any edit
         * @description Follow the learning at `Location`; once it has succeeded, `identity` is the id that edits name. An edit of the same photo,
         *     mask and source prompt finds it by itself. Without a mask the person is found, as by an edit.
         */
        post: operations["createIdentity"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/identities/import": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Bring an exported identity
         * @description The file must be of the very model that this service has. It holds no photo: edits with it send one.
         *
         *     The same file is the same identity: consent and life of the first time stay.
         */
        post: operations["importIdentity"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/identities/{identity_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * See a learned identity
         * @description What it was learned with: later edits that name it may leave out photo, mask, source prompt and subject.
         */
        get: operations["getIdentity"];
        put?: never;
        post?: never;
        /**
         * Erase an identity
         * @description What was learned, the copies of photo and mask beside it, and what was inverted with it. Edits that still wait with it fail
         *     with `identity_unknown`; those that are done stay.
         */
        delete: operations["eraseIdentity"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/identities/{identity_id}/export": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Get an identity as a file
         * @description A link to what was learned, as one safetensors file that names its model, prompt and subject. The photo is not in it.
         */
        get: operations["exportIdentity"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/attributes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List learned attributes
         * @description In the order of their ids.
         */
        get: operations["listAttributes"];
        put?: never;
        /**
         * Learn an attribute
         * @description From a reference photo of anybody. Follow the learning at `Location`; once it has succeeded, `attribute` is the id that
         *     edits name. It acts where an edit may change its photo, whoever is in that.
         */
        post: operations["createAttribute"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/attributes/{attribute_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * See a learned attribute
         * @description How edits write it, and what it was learned with.
         */
        get: operations["getAttribute"];
        put?: never;
        post?: never;
        /**
         * Erase an attribute
         * @description What was learned. Edits that still wait with it fail with `attribute_unknown`. The job that learned it keeps its photo.
         */
        delete: operations["eraseAttribute"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/masks": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Find the person in a photo
         * @description The mask that an edit of the same photo would use. Follow the job at `Location`; once it has succeeded, `mask` links to a
         *     PNG, and the report says how many people were seen and how sure the choice is. Send the mask, corrected or not, with an edit.
         *
         *     An edit without one finds the person by itself. A token pays for a mask as for an edit.
         */
        post: operations["createMask"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/users/{user}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Erase everything of a user
         * @description Photos, masks, uploads, edits, results, identities, attributes, and all that was made on the way. Work under way is stopped
         *     and publishes nothing. The user's device tokens end. Needs a key with the scope `admin`, of the user's tenant.
         *
         *     Until it is done, new requests of the user are refused with 409; afterwards the user may come back as new. While a worker is
         *     at an edit of the user the answer takes as long as a worker's lease. Safe to repeat.
         */
        delete: operations["eraseUser"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/receipts/keys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The keys that receipts are verified by
         * @description A JWK Set (RFC 7517).
         */
        get: operations["getReceiptKeys"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/uploads": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Announce a file
         * @description Send the bytes as the answer says, then name the upload's id in a `POST /edits` of JSON.
         *
         *     An upload is removed after a time, by default a day. Edits that have named it keep a copy of their own.
         */
        post: operations["createUpload"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/uploads/{upload_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * See whether a file has come
         * @description While its bytes are missing, the ways to send them are fresh each time.
         */
        get: operations["getUpload"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/files/{key}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Fetch a file by a signed URL
         * @description Only the very URL that was signed is served, and only until it expires.
         */
        get: operations["getFile"];
        /**
         * Send an upload's bytes by its signed URL
         * @description The signature covers the key, the life, `Content-Type`, `Content-Length` and `If-None-Match: *`; it works once.
         */
        put: operations["putFile"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Does the process answer?
         * @description Says nothing of Redis or the object store: restarting this process would not mend them.
         */
        get: operations["getLiveness"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Can edits be taken?
         * @description 503 names the parts that do not answer, or says why no worker can load the model.
         */
        get: operations["getReadiness"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/tokens": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Get a token for a device
         * @description For the user of `S2Edit-User`, whom the token can't change. It ends with its time, its budget, or the key that got it.
         */
        post: operations["createToken"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export interface webhooks {
    "job-over": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * An edit, a learning or a search for a mask is over
         * @description Sent to a job's `webhook_url`, at least once. Verify it with a library of standardwebhooks.com before you believe it.
         */
        post: operations["onJobOver"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export interface components {
    schemas: {
        /**
         * Attribute
         * @description What may be put on anybody: edits name it in `attributes` and write its `placeholder` in their prompt.
         * @example {
         *       "id": "a_5b1f0cf2d1a84fd4c0a9d6f0b77ab1e3",
         *       "name": "Evening",
         *       "placeholder": "[A]",
         *       "subject": "makeup",
         *       "prompt": "a woman with [A] makeup",
         *       "created_at": "2026-11-23T22:12:02Z"
         *     }
         */
        Attribute: {
            /** Id */
            id: string;
            /**
             * Name
             * @example Evening
             */
            name: string | null;
            /**
             * Placeholder
             * @example [A]
             */
            placeholder: string;
            /**
             * Subject
             * @description The word that stands after the placeholder
             * @example makeup
             */
            subject: string;
            /**
             * Prompt
             * @description What it was learned with
             * @example a woman with [A] makeup
             */
            prompt: string;
            /**
             * Created At
             * Format: date-time
             */
            created_at: string;
        };
        /**
         * AttributeForm
         * @description The parts of `POST /attributes`: a makeup, a hat, a hairstyle that any identity may wear. Nobody but you knows where it is in
         *     the photo, so `mask` is needed.
         */
        AttributeForm: {
            /**
             * Image
             * Format: binary
             * @description The photo: PNG, JPEG, WebP, AVIF or HEIC, at most 50 megapixels, or with `max_pixels` 110
             */
            image?: Blob;
            /**
             * Max Pixels
             * @description Scale a photo of more pixels down to so many, 65,536 to 50,000,000; masks follow it. Left out: nothing is scaled, and a photo of more than 50 megapixels is refused
             * @example 12000000
             */
            max_pixels?: number;
            /**
             * Deadline S
             * @description Seconds from now after which it is no longer wanted
             * @example 600
             */
            deadline_s?: number;
            /**
             * Webhook Url
             * @description https:// address that is told when the job is over, as of an edit
             * @example https://app.example.com/hooks/s2edit
             */
            webhook_url?: string;
            /**
             * Mask
             * Format: binary
             * @description Where it is seen: white inside, black outside, of the photo's frame
             */
            mask?: Blob;
            /**
             * Preset
             * @description As of an edit; default `balanced`
             * @example balanced
             * @enum {string}
             */
            preset?: "paper" | "balanced" | "instant";
            /**
             * Seed
             * @description 0 to 2⁶³ − 1; default 0
             * @example 0
             */
            seed?: number;
            /**
             * Mask Mode
             * @description How `mask` marks the region, as of an edit; default `auto`
             * @example auto
             * @enum {string}
             */
            mask_mode?: "auto" | "luminance" | "alpha" | "inverted_alpha";
            /**
             * Consent
             * @description That the person in the photo agrees to its use, in your words; kept with the request and with an identity
             * @example Ada Example agreed in the app on 24 November 2026
             */
            consent?: string;
            /**
             * Prompt
             * @description What the photo shows, with a placeholder before the word for the attribute. It is a capital in brackets, then letters or digits: `[A]`, `[Makeup]`; `[I]` names identities
             * @example a woman with [A] makeup
             */
            prompt: string;
            /**
             * Name
             * @description For people; that of the first learning stays
             * @example Evening
             */
            name?: string;
        };
        /**
         * AttributePage
         * @description `next_cursor` is null where the list has ended.
         * @example {
         *       "items": [
         *         {
         *           "id": "a_5b1f0cf2d1a84fd4c0a9d6f0b77ab1e3",
         *           "name": "Evening",
         *           "placeholder": "[A]",
         *           "subject": "makeup",
         *           "prompt": "a woman with [A] makeup",
         *           "created_at": "2026-11-23T22:12:02Z"
         *         }
         *       ],
         *       "next_cursor": null
         *     }
         */
        AttributePage: {
            /** Items */
            items: components["schemas"]["Attribute"][];
            /** Next Cursor */
            next_cursor: string | null;
        };
        /**
         * Consent
         * @description What was said of the person's consent, and when.
         */
        Consent: {
            /** Statement */
            statement: string;
            /**
             * Given At
             * Format: date-time
             */
            given_at: string;
        };
        /**
         * DryRun
         * @description What the same form without `dry_run` would do. Nothing was kept, and nothing is promised.
         * @example {
         *       "learning": "needed",
         *       "identity": "c_28e53ba2fe96501a6aa2e4a26de5553c",
         *       "eta_s": 44
         *     }
         */
        DryRun: {
            /**
             * Learning
             * @description `known`: the identity is there already. `unknown`: no worker has said yet which model it has, or a worker must find the mask or describe the photo first
             * @enum {string}
             */
            learning: "needed" | "known" | "unknown";
            /**
             * Identity
             * @description The id that the identity has, or would have; null while that is unknown
             */
            identity: string | null;
            /**
             * Eta S
             * @description Seconds until it would be done, by what edits took so far, at most; null while that is not known
             */
            eta_s: number | null;
        };
        /**
         * Edit
         * @description Where an edit stands. `sequence` grows with every change and is the `ETag`.
         * @example {
         *       "id": "e_01a20cdd974a71128ec3f808269cd504",
         *       "kind": "edit",
         *       "state": "running",
         *       "phase": "learning",
         *       "progress": {
         *         "phase": "learning",
         *         "step": 30,
         *         "total": 100,
         *         "fraction": 0.3
         *       },
         *       "created_at": "2026-11-23T22:10:05.120000Z",
         *       "updated_at": "2026-11-23T22:10:09.480000Z",
         *       "sequence": 34,
         *       "cancel_requested": false,
         *       "deadline_at": null,
         *       "eta_s": 41.5,
         *       "identity": null,
         *       "attribute": null,
         *       "parent": null,
         *       "test": false,
         *       "result": null,
         *       "results": [],
         *       "mask": null,
         *       "report": null,
         *       "error": null
         *     }
         * @example {
         *       "id": "e_01a20cdd974a71128ec3f808269cd504",
         *       "kind": "edit",
         *       "state": "succeeded",
         *       "phase": null,
         *       "progress": null,
         *       "created_at": "2026-11-23T22:10:05.120000Z",
         *       "updated_at": "2026-11-23T22:10:51.250000Z",
         *       "sequence": 181,
         *       "cancel_requested": false,
         *       "deadline_at": null,
         *       "eta_s": null,
         *       "identity": "c_28e53ba2fe96501a6aa2e4a26de5553c",
         *       "attribute": null,
         *       "parent": null,
         *       "test": false,
         *       "result": {
         *         "url": "https://s2edit.example.com/files/t/acme/u/ann/edits/e_01a20cdd974a71128ec3f808269cd504/result-1.png?expires=1795472751&signature=Zm9yIGRvY3VtZW50YXRpb24",
         *         "expires_at": "2026-11-23T22:25:51Z",
         *         "media_type": "image/png"
         *       },
         *       "results": [
         *         {
         *           "url": "https://s2edit.example.com/files/t/acme/u/ann/edits/e_01a20cdd974a71128ec3f808269cd504/result-1.png?expires=1795472751&signature=Zm9yIGRvY3VtZW50YXRpb24",
         *           "expires_at": "2026-11-23T22:25:51Z",
         *           "media_type": "image/png"
         *         }
         *       ],
         *       "mask": {
         *         "url": "https://s2edit.example.com/files/t/acme/u/ann/edits/e_01a20cdd974a71128ec3f808269cd504/mask-found.png?expires=1795472751&signature=Zm9yIGRvY3VtZW50YXRpb24",
         *         "expires_at": "2026-11-23T22:25:51Z"
         *       },
         *       "report": {
         *         "url": "https://s2edit.example.com/files/t/acme/u/ann/edits/e_01a20cdd974a71128ec3f808269cd504/report-1.json?expires=1795472751&signature=Zm9yIGRvY3VtZW50YXRpb24",
         *         "expires_at": "2026-11-23T22:25:51Z",
         *         "values": {
         *           "learning_steps": 100,
         *           "mask": {
         *             "source": "found",
         *             "segmenter": "mediapipe",
         *             "people": 1,
         *             "confidence": 0.97,
         *             "box": [
         *               212,
         *               96,
         *               871,
         *               1280
         *             ],
         *             "seconds": 0.02
         *           },
         *           "seconds": {
         *             "learning": 1.9,
         *             "inverting": 0.6,
         *             "editing": 0.5,
         *             "total": 3.1
         *           }
         *         }
         *       },
         *       "error": null
         *     }
         */
        Edit: {
            /** Id */
            id: string;
            /**
             * Kind
             * @description `identity` and `attribute`: a learning alone, `mask`: the search for a person; they end without a result
             * @enum {string}
             */
            kind: "edit" | "identity" | "attribute" | "mask";
            state: components["schemas"]["JobState"];
            /** Phase */
            phase: ("preparing" | "learning" | "inverting" | "editing" | "finishing") | null;
            progress: components["schemas"]["ProgressView"] | null;
            /**
             * Created At
             * Format: date-time
             */
            created_at: string;
            /**
             * Updated At
             * Format: date-time
             */
            updated_at: string;
            /** Sequence */
            sequence: number;
            /** Cancel Requested */
            cancel_requested: boolean;
            /**
             * Deadline At
             * @description When the edit is given up if it is not done
             */
            deadline_at: string | null;
            /**
             * Eta S
             * @description Seconds until it is done, by what edits like it took; null where that is not known, or over
             */
            eta_s: number | null;
            /**
             * Identity
             * @description The identity that was learned or used; later edits may name it
             */
            identity: string | null;
            /**
             * Attribute
             * @description The attribute that was learned
             */
            attribute: string | null;
            /**
             * Parent
             * @description The edit whose result this one started from
             */
            parent: string | null;
            /**
             * Test
             * @description Whether it was asked for with a test key: then no model has drawn the result
             */
            test: boolean;
            /** @description The edited photo, once the state is `succeeded` */
            result: components["schemas"]["Picture"] | null;
            /**
             * Results
             * @description `result` and its variants, in order; empty before
             */
            results: components["schemas"]["Picture"][];
            /** @description The mask that was used, as it was sent or found, once the state is `succeeded`; the report says which */
            mask: components["schemas"]["Link"] | null;
            report: components["schemas"]["Report"] | null;
            /** @description Once the state is `failed` */
            error: components["schemas"]["EditError"] | null;
        };
        /**
         * EditError
         * @description Why the edit failed. `retryable`: the same request may succeed later. `field`: the input to change, if it is one.
         */
        EditError: {
            /** Code */
            code: string;
            /** Message */
            message: string;
            /** Retryable */
            retryable: boolean;
            /** Field */
            field?: string | null;
        };
        /**
         * EditForm
         * @description The parts of `POST /edits`.
         */
        EditForm: {
            /**
             * Prompt
             * @description What the picture shall show, in English; an instruction (“make her hair blond”) is refused
             * @example a photo of a woman with blond hair, smiling
             */
            prompt: string;
            /**
             * Source Prompt
             * @description What the photo shows now. Left out: the identity's, else what the service's captioner says of the photo, else “a photo of a <subject>”
             * @example a photo of a woman
             */
            source_prompt?: string;
            /**
             * Subject
             * @description The word of both prompts that names the person, or up to four words. Left out: the identity's, else searched for
             * @example woman
             */
            subject?: string;
            /**
             * Identity
             * @description A learned identity, from a former edit's `identity`
             */
            identity?: string;
            /**
             * Attributes
             * @description Ids of learned attributes, one part each, at most 4: the prompt holds the placeholder of each, as in “a woman with [A] makeup”. They act where the edit may change the photo
             */
            attributes?: string[];
            /**
             * Parent
             * @description A former edit to go on from: its result is the photo, its identity and its mask are used again, and its prompt is the source prompt, each unless given here. `image` is left out
             */
            parent?: string;
            /**
             * Preset
             * @description `balanced` (default), `paper` (null-text as published, slow) or `instant` (fewer steps)
             * @example balanced
             * @enum {string}
             */
            preset?: "paper" | "balanced" | "instant";
            /**
             * Steps
             * @description Denoising steps, 2 to 999. Left out: the preset's
             * @example 50
             */
            steps?: number;
            /**
             * Guidance Scale
             * @description How strongly the prompt pulls, 1 to 30. Left out: what model and preset recommend
             * @example 3
             */
            guidance_scale?: number;
            /**
             * Negative Prompt
             * @description What the picture shall not show, in plain words and without placeholders. It acts through guidance, so only with a `guidance_scale` above 1
             * @example glasses
             */
            negative_prompt?: string;
            /**
             * Strength
             * @description How far back towards noise the edit starts: 1/`steps` or more, so that one step is run; at most 1 (default). Lower values stay nearer to the photo. With `variants` it is 1
             * @example 1
             */
            strength?: number;
            /**
             * Output Format
             * @description `png` (default, also for a photo that came as a JPEG: encoding it as one again would change pixels outside the edit mask), `jpeg` or `webp`. The report's `outside_edit_mask` says by how much the file differs there
             * @example webp
             * @enum {string}
             */
            output_format?: "png" | "jpeg" | "webp";
            /**
             * Output Quality
             * @description Of a JPEG or WebP, 1 to 100; default 95. A WebP of 100 is lossless. Not for PNG
             * @example 95
             */
            output_quality?: number;
            /**
             * Keep Alpha
             * @description Whether the result is as transparent as the photo. Left out: yes, where the format can be; a JPEG is laid on white. `false` lays it on white in any format
             */
            keep_alpha?: boolean;
            /**
             * Seed
             * @description Same inputs and same seed, same picture. 0 to 2⁶³ − 1; default 0
             * @example 0
             */
            seed?: number;
            /**
             * Mask Mode
             * @description How `mask` marks the region: `luminance` (white), `alpha` (what is painted on transparent) or `inverted_alpha` (what is transparent). Left out, `auto`: white or painted; refused where it may mean either. Another mode without a mask is refused too
             * @example auto
             * @enum {string}
             */
            mask_mode?: "auto" | "luminance" | "alpha" | "inverted_alpha";
            /**
             * Edit Mask Mode
             * @description How `edit_mask` marks it, where it is not as `mask_mode` says; only with an `edit_mask`
             * @enum {string}
             */
            edit_mask_mode?: "auto" | "luminance" | "alpha" | "inverted_alpha";
            /**
             * Consent
             * @description That the person in the photo agrees to being learned and edited, in your words; kept with the identity
             * @example Ada Example agreed in the app on 24 November 2026
             */
            consent?: string;
            /**
             * Identity Ttl S
             * @description Seconds after which the identity that is learned is erased
             * @example 2592000
             */
            identity_ttl_s?: number;
            /**
             * Variants
             * @description Pictures, 1 to 8; default 1. The first is the edit itself, the others start from the same inversion with noise that is partly drawn anew, by the seeds that follow
             * @example 3
             */
            variants?: number;
            /**
             * Max Pixels
             * @description Scale a photo of more pixels down to so many, 65,536 to 50,000,000; masks follow it. Left out: nothing is scaled, and a photo of more than 50 megapixels is refused
             * @example 12000000
             */
            max_pixels?: number;
            /**
             * Deadline S
             * @description Seconds from now after which the edit is no longer wanted; it then fails with `deadline_exceeded`
             * @example 600
             */
            deadline_s?: number;
            /**
             * Webhook Url
             * @description https:// address that is told, at least once, when the edit is over; by the Standard Webhooks rules
             * @example https://app.example.com/hooks/s2edit
             */
            webhook_url?: string;
            /**
             * Dry Run
             * @description Check everything, say what would be done and how long it may take, and keep nothing
             * @default false
             */
            dry_run?: boolean;
            /**
             * Image
             * Format: binary
             * @description The photo: PNG, JPEG, WebP, AVIF or HEIC, at most 50 megapixels, or with `max_pixels` 110. Left out where `identity` is given
             */
            image?: Blob;
            /**
             * Mask
             * Format: binary
             * @description The person's region: white inside, black outside, of the photo's frame. Left out: the identity's or the parent's, else the person is found
             */
            mask?: Blob;
            /**
             * At
             * @description Where no mask is sent: the pixel of the person that is meant, as `x,y` (such as `512,384`) from the upper left corner of the photo as it is seen. Left out: the largest person
             */
            at?: string;
            /**
             * Edit Mask
             * Format: binary
             * @description What may change, drawn like `mask`. Left out: the mask, grown a little
             */
            edit_mask?: Blob;
        };
        /**
         * EditPage
         * @description `next_cursor` is null where the list has ended.
         * @example {
         *       "items": [
         *         {
         *           "id": "e_01a20cdd974a71128ec3f808269cd504",
         *           "kind": "edit",
         *           "state": "running",
         *           "phase": "learning",
         *           "progress": {
         *             "phase": "learning",
         *             "step": 30,
         *             "total": 100,
         *             "fraction": 0.3
         *           },
         *           "created_at": "2026-11-23T22:10:05.120000Z",
         *           "updated_at": "2026-11-23T22:10:09.480000Z",
         *           "sequence": 34,
         *           "cancel_requested": false,
         *           "deadline_at": null,
         *           "eta_s": 41.5,
         *           "identity": null,
         *           "attribute": null,
         *           "parent": null,
         *           "test": false,
         *           "result": null,
         *           "results": [],
         *           "mask": null,
         *           "report": null,
         *           "error": null
         *         }
         *       ],
         *       "next_cursor": null
         *     }
         */
        EditPage: {
            /** Items */
            items: components["schemas"]["Edit"][];
            /** Next Cursor */
            next_cursor: string | null;
        };
        /**
         * Export
         * @description The identity's file, for another service that has the same model. `sha256` is of its bytes, in hexadecimal.
         * @example {
         *       "url": "https://s2edit.example.com/files/t/acme/u/ann/concepts/c_28e53ba2fe96501a6aa2e4a26de5553c/concept.safetensors?expires=1795472751&signature=Zm9yIGRvY3VtZW50YXRpb24",
         *       "expires_at": "2026-11-23T22:25:51Z",
         *       "identity": "c_28e53ba2fe96501a6aa2e4a26de5553c",
         *       "format": "safetensors",
         *       "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
         *       "size_bytes": 412360,
         *       "source_prompt": "a photo of a [I] woman",
         *       "subject": "woman"
         *     }
         */
        Export: {
            /** Url */
            url: string;
            /**
             * Expires At
             * Format: date-time
             */
            expires_at: string;
            /** Identity */
            identity: string;
            /**
             * Format
             * @default safetensors
             * @constant
             */
            format?: "safetensors";
            /** Sha256 */
            sha256: string;
            /** Size Bytes */
            size_bytes: number;
            /** Source Prompt */
            source_prompt: string | null;
            /** Subject */
            subject: string | null;
        };
        /**
         * Health
         * @description `ok`: the process answers.
         * @example {
         *       "status": "ok"
         *     }
         */
        Health: {
            /**
             * Status
             * @default ok
             */
            status?: string;
        };
        /**
         * Identity
         * @description A person as learned from one photo, mask and prompt.
         * @example {
         *       "id": "c_28e53ba2fe96501a6aa2e4a26de5553c",
         *       "source_prompt": "a photo of a [I] woman",
         *       "subject": "woman",
         *       "created_at": "2026-11-23T22:10:31.800000Z",
         *       "expires_at": null,
         *       "consent": {
         *         "statement": "Ada Example agreed in the app on 23 November 2026",
         *         "given_at": "2026-11-23T22:10:05.120000Z"
         *       },
         *       "has_photo": true
         *     }
         */
        Identity: {
            /** Id */
            id: string;
            /**
             * Source Prompt
             * @example a photo of a [I] woman
             */
            source_prompt: string | null;
            /**
             * Subject
             * @example woman
             */
            subject: string | null;
            /**
             * Created At
             * Format: date-time
             */
            created_at: string;
            /**
             * Expires At
             * @description When it is erased by itself
             */
            expires_at?: string | null;
            /** @description What was said of the person's consent */
            consent?: components["schemas"]["Consent"] | null;
            /**
             * Has Photo
             * @description False for one that was imported: edits with it send a photo
             * @default true
             */
            has_photo?: boolean;
        };
        /**
         * IdentityForm
         * @description The parts of `POST /identities`: a person, learned ahead of any edit.
         */
        IdentityForm: {
            /**
             * Image
             * Format: binary
             * @description The photo: PNG, JPEG, WebP, AVIF or HEIC, at most 50 megapixels, or with `max_pixels` 110
             */
            image?: Blob;
            /**
             * Max Pixels
             * @description Scale a photo of more pixels down to so many, 65,536 to 50,000,000; masks follow it. Left out: nothing is scaled, and a photo of more than 50 megapixels is refused
             * @example 12000000
             */
            max_pixels?: number;
            /**
             * Deadline S
             * @description Seconds from now after which it is no longer wanted
             * @example 600
             */
            deadline_s?: number;
            /**
             * Webhook Url
             * @description https:// address that is told when the job is over, as of an edit
             * @example https://app.example.com/hooks/s2edit
             */
            webhook_url?: string;
            /**
             * Mask
             * Format: binary
             * @description The person's region: white inside, black outside, of the photo's frame. Left out: the person is found
             */
            mask?: Blob;
            /**
             * Preset
             * @description As of an edit; default `balanced`
             * @example balanced
             * @enum {string}
             */
            preset?: "paper" | "balanced" | "instant";
            /**
             * Seed
             * @description 0 to 2⁶³ − 1; default 0
             * @example 0
             */
            seed?: number;
            /**
             * Mask Mode
             * @description How `mask` marks the region, as of an edit; default `auto`
             * @example auto
             * @enum {string}
             */
            mask_mode?: "auto" | "luminance" | "alpha" | "inverted_alpha";
            /**
             * Consent
             * @description That the person in the photo agrees to its use, in your words; kept with the request and with an identity
             * @example Ada Example agreed in the app on 24 November 2026
             */
            consent?: string;
            /**
             * At
             * @description Where no mask is sent: the pixel of the person that is meant, as `x,y` (such as `512,384`) from the upper left corner of the photo as it is seen. Left out: the largest person
             */
            at?: string;
            /**
             * Prompt
             * @description What the photo shows: an edit's `source_prompt`
             * @example a photo of a woman with black hair
             */
            prompt: string;
            /**
             * Subject
             * @description The word of the prompt that names the person. Left out: searched for
             * @example woman
             */
            subject?: string;
            /**
             * Identity Ttl S
             * @description Seconds after which the identity is erased
             * @example 2592000
             */
            identity_ttl_s?: number;
        };
        /**
         * IdentityPage
         * @description `next_cursor` is null where the list has ended.
         * @example {
         *       "items": [
         *         {
         *           "id": "c_28e53ba2fe96501a6aa2e4a26de5553c",
         *           "source_prompt": "a photo of a [I] woman",
         *           "subject": "woman",
         *           "created_at": "2026-11-23T22:10:31.800000Z",
         *           "expires_at": null,
         *           "consent": {
         *             "statement": "Ada Example agreed in the app on 23 November 2026",
         *             "given_at": "2026-11-23T22:10:05.120000Z"
         *           },
         *           "has_photo": true
         *         }
         *       ],
         *       "next_cursor": null
         *     }
         */
        IdentityPage: {
            /** Items */
            items: components["schemas"]["Identity"][];
            /** Next Cursor */
            next_cursor: string | null;
        };
        /**
         * ImportForm
         * @description The parts of `POST /identities/import`.
         */
        ImportForm: {
            /**
             * File
             * Format: binary
             * @description A file that an export has given: safetensors, nothing else
             */
            file?: Blob;
            /**
             * Consent
             * @description That the person agrees to this use of the identity, in your words; kept with it
             * @example Ada Example agreed in the app on 24 November 2026
             */
            consent?: string;
            /**
             * Identity Ttl S
             * @description Seconds after which the identity is erased
             * @example 2592000
             */
            identity_ttl_s?: number;
        };
        /**
         * JobState
         * @description How a job stands; the last three are ends.
         * @enum {string}
         */
        JobState: "queued" | "running" | "succeeded" | "failed" | "canceled";
        /**
         * KeySet
         * @description A JWK Set (RFC 7517).
         * @example {
         *       "keys": [
         *         {
         *           "kty": "EC",
         *           "crv": "P-256",
         *           "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
         *           "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
         *           "kid": "3f2a9c17",
         *           "use": "sig",
         *           "alg": "ES256"
         *         }
         *       ]
         *     }
         */
        KeySet: {
            /** Keys */
            keys: {
                [key: string]: unknown;
            }[];
        };
        /**
         * Link
         * @description A file, by a URL that needs no other credentials until `expires_at`. Ask for the edit again to get a fresh one.
         */
        Link: {
            /** Url */
            url: string;
            /**
             * Expires At
             * Format: date-time
             */
            expires_at: string;
        };
        /**
         * MaskForm
         * @description The parts of `POST /masks`.
         */
        MaskForm: {
            /**
             * Image
             * Format: binary
             * @description The photo: PNG, JPEG, WebP, AVIF or HEIC, at most 50 megapixels, or with `max_pixels` 110
             */
            image?: Blob;
            /**
             * Max Pixels
             * @description Scale a photo of more pixels down to so many, 65,536 to 50,000,000; masks follow it. Left out: nothing is scaled, and a photo of more than 50 megapixels is refused
             * @example 12000000
             */
            max_pixels?: number;
            /**
             * Deadline S
             * @description Seconds from now after which it is no longer wanted
             * @example 600
             */
            deadline_s?: number;
            /**
             * Webhook Url
             * @description https:// address that is told when the job is over, as of an edit
             * @example https://app.example.com/hooks/s2edit
             */
            webhook_url?: string;
            /**
             * Prompt
             * @description What the photo shows: an edit's `source_prompt`. Some ways to find a person go by it
             * @example a photo of a woman with black hair
             */
            prompt?: string;
            /**
             * At
             * @description Where no mask is sent: the pixel of the person that is meant, as `x,y` (such as `512,384`) from the upper left corner of the photo as it is seen. Left out: the largest person
             */
            at?: string;
        };
        /**
         * Picture
         * @description A result, by such a URL.
         */
        Picture: {
            /** Url */
            url: string;
            /**
             * Expires At
             * Format: date-time
             */
            expires_at: string;
            /**
             * Media Type
             * @example image/png
             */
            media_type: string;
        };
        /**
         * PostForm
         * @description `POST` a `multipart/form-data` form to `url`: these fields, then the bytes as the part `file`.
         */
        PostForm: {
            /** Url */
            url: string;
            /** Fields */
            fields: {
                [key: string]: string;
            };
        };
        /**
         * Problem
         * @description RFC 9457. `type` and `code` are stable; `detail` is for people. `retryable`: the same request may succeed later.
         * @example {
         *       "code": "mask_empty",
         *       "detail": "the mask is empty: paint the region white",
         *       "errors": [
         *         {
         *           "code": "mask_empty",
         *           "detail": "the mask is empty: paint the region white",
         *           "field": "mask",
         *           "pointer": "#/mask"
         *         }
         *       ],
         *       "field": "mask",
         *       "retryable": false,
         *       "status": 422,
         *       "title": "The mask can't be used",
         *       "type": "urn:s2edit:problem:mask_empty"
         *     }
         */
        Problem: {
            /** Type */
            type: string;
            /** Title */
            title: string;
            /** Status */
            status: number;
            /** Detail */
            detail: string;
            /** Code */
            code: string;
            /**
             * Retryable
             * @default false
             */
            retryable?: boolean;
            /** Field */
            field?: string | null;
            /**
             * Errors
             * @default []
             */
            errors?: components["schemas"]["ProblemDetail"][];
        };
        /**
         * ProblemDetail
         * @description One thing that is wrong. `pointer` is a JSON pointer into the form seen as an object, such as `#/steps`.
         */
        ProblemDetail: {
            /** Detail */
            detail: string;
            /** Code */
            code: string;
            /** Field */
            field?: string | null;
            /** Pointer */
            pointer?: string | null;
        };
        /**
         * ProgressView
         * @description How far the current phase is: `step` of `total`; `fraction` is their quotient, 0 to 1.
         */
        ProgressView: {
            /**
             * Phase
             * @enum {string}
             */
            phase: "preparing" | "learning" | "inverting" | "editing" | "finishing";
            /** Step */
            step: number;
            /** Total */
            total: number;
            /** Fraction */
            fraction: number;
        };
        /**
         * PutRequest
         * @description `PUT` the bytes to `url` with just these headers. It works once; a second time is 412.
         */
        PutRequest: {
            /** Url */
            url: string;
            /**
             * Headers
             * @description Browsers and HTTP libraries set `Content-Length` by themselves
             */
            headers: {
                [key: string]: string;
            };
        };
        /**
         * Receipt
         * @description That it was erased. `receipt` says the same as a signed JWT (ES256), for whoever wants proof; keys: `GET /receipts/keys`.
         * @example {
         *       "erased": "edit",
         *       "id": "e_01a20cdd974a71128ec3f808269cd504",
         *       "objects": 7,
         *       "erased_at": "2026-11-23T22:25:51Z",
         *       "receipt": "eyJhbGciOiJFUzI1NiIsInR5cCI6InMyZWRpdC1yZWNlaXB0K2p3dCJ9.eyJlcmFzZWQi….…"
         *     }
         */
        Receipt: {
            /**
             * Erased
             * @enum {string}
             */
            erased: "user" | "edit" | "identity" | "attribute";
            /** Id */
            id: string;
            /**
             * Objects
             * @description How many stored objects were deleted
             */
            objects: number;
            /**
             * Erased At
             * Format: date-time
             */
            erased_at: string;
            /**
             * Receipt
             * @example eyJhbGciOiJFUzI1NiIsInR5cCI6InMyZWRpdC1yZWNlaXB0K2p3dCJ9.eyJlcmFzZWQi….…
             */
            receipt: string;
        };
        /**
         * Report
         * @description How the edit was done and what it measures; the same JSON lies behind `url`.
         */
        Report: {
            /** Url */
            url: string;
            /**
             * Expires At
             * Format: date-time
             */
            expires_at: string;
            /** Values */
            values: {
                [key: string]: unknown;
            };
        };
        /**
         * Token
         * @description To be sent as `Authorization: Bearer <token>`, without `S2Edit-User`.
         * @example {
         *       "token": "eyJhbGciOiJIUzI1NiIsImtpZCI6IjNmMmE5YzE3In0.eyJzdWIiOiJhbm4i….…",
         *       "token_type": "Bearer",
         *       "user": "ann",
         *       "scopes": [
         *         "edits:read",
         *         "edits:write"
         *       ],
         *       "edits": 1,
         *       "uploads": 3,
         *       "expires_at": "2026-11-23T22:25:51Z"
         *     }
         */
        Token: {
            /** Token */
            token: string;
            /**
             * Token Type
             * @default Bearer
             * @constant
             */
            token_type?: "Bearer";
            /** User */
            user: string;
            /** Scopes */
            scopes: string[];
            /** Edits */
            edits: number;
            /** Uploads */
            uploads: number;
            /**
             * Expires At
             * Format: date-time
             */
            expires_at: string;
        };
        /**
         * TokenRequest
         * @description What a device shall be able to do.
         * @example {
         *       "expires_in_s": 600,
         *       "edits": 1,
         *       "uploads": 3,
         *       "scopes": [
         *         "edits:read",
         *         "edits:write"
         *       ]
         *     }
         */
        TokenRequest: {
            /**
             * Expires In S
             * @description Seconds until it ends; cut to what the service allows
             * @default 600
             */
            expires_in_s?: number;
            /**
             * Edits
             * @description How many edits it may ask for
             * @default 1
             */
            edits?: number;
            /**
             * Uploads
             * @description How many uploads it may begin
             * @default 3
             */
            uploads?: number;
            /**
             * Scopes
             * @description What it is for. Left out: whatever the key may of these
             */
            scopes?: ("edits:read" | "edits:write" | "identities")[] | null;
        };
        /**
         * UploadRequest
         * @description A file that shall be sent.
         * @example {
         *       "media_type": "image/png",
         *       "size_bytes": 1834221,
         *       "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
         *     }
         */
        UploadRequest: {
            /**
             * Media Type
             * @description What it is; its first bytes must agree
             * @enum {string}
             */
            media_type: "image/png" | "image/jpeg" | "image/webp" | "image/avif" | "image/heic";
            /**
             * Size Bytes
             * @description Its exact length
             * @example 1834221
             */
            size_bytes: number;
            /**
             * Sha256
             * @description Its SHA-256 digest in hexadecimal. If given, other bytes are refused where the upload is used
             * @example 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
             */
            sha256?: string | null;
        };
        /**
         * UploadView
         * @description An upload. `put` and `form` are two ways to send its bytes, null once these have come.
         * @example {
         *       "id": "u_01a20cdd1f2e7c3a9d40b1c2d3e4f506",
         *       "state": "waiting",
         *       "media_type": "image/png",
         *       "size_bytes": 1834221,
         *       "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
         *       "created_at": "2026-11-23T22:10:51Z",
         *       "expires_at": "2026-11-23T22:25:51Z",
         *       "put": {
         *         "url": "https://s2edit.example.com/files/t/acme/u/ann/uploads/u_01a20cdd1f2e7c3a9d40b1c2d3e4f506/file.png?expires=1795472751&signature=Zm9yIGRvY3VtZW50YXRpb24",
         *         "headers": {
         *           "Content-Type": "image/png",
         *           "If-None-Match": "*"
         *         }
         *       },
         *       "form": null
         *     }
         */
        UploadView: {
            /** Id */
            id: string;
            /**
             * State
             * @description Whether the bytes have come
             * @enum {string}
             */
            state: "waiting" | "arrived";
            /** Media Type */
            media_type: string;
            /** Size Bytes */
            size_bytes: number;
            /** Sha256 */
            sha256: string | null;
            /**
             * Created At
             * Format: date-time
             */
            created_at: string;
            /**
             * Expires At
             * @description When `put` and `form` run out; ask again for fresh ones
             */
            expires_at: string | null;
            put: components["schemas"]["PutRequest"] | null;
            /** @description Null where the store does not hold senders of forms to their limits */
            form: components["schemas"]["PostForm"] | null;
        };
        /**
         * WebhookData
         * @description How the job ended. There are no links in it: ask for the edit.
         */
        WebhookData: {
            /** Id */
            id: string;
            /**
             * State
             * @enum {string}
             */
            state: "succeeded" | "failed" | "canceled";
            /**
             * Identity
             * @description That was learned or used; absent where an attribute was learned or a mask found
             */
            identity?: string | null;
            /**
             * Attribute
             * @description That was learned; absent otherwise
             */
            attribute?: string | null;
            /**
             * Test
             * @description True for what was asked for with a test key; absent otherwise
             * @default false
             */
            test?: boolean;
            /** @description Absent unless the state is `failed` */
            error?: components["schemas"]["EditError"] | null;
        };
        /**
         * WebhookMessage
         * @description The body, as the Standard Webhooks specification wants it.
         * @example {
         *       "data": {
         *         "id": "e_01a20cdd974a71128ec3f808269cd504",
         *         "identity": "c_28e53ba2fe96501a6aa2e4a26de5553c",
         *         "state": "succeeded"
         *       },
         *       "timestamp": "2026-11-23T22:10:51.250000Z",
         *       "type": "edit.succeeded"
         *     }
         */
        WebhookMessage: {
            /**
             * Type
             * @example edit.succeeded
             */
            type: string;
            /**
             * Timestamp
             * Format: date-time
             * @description When it ended
             */
            timestamp: string;
            data: components["schemas"]["WebhookData"];
        };
        /**
         * EditDocument
         * @description `POST /edits` as JSON: the pictures are uploads that have been sent before. Null is as good as left out.
         * @example {
         *       "image": "u_01a20cdd1f2e7c3a9d40b1c2d3e4f506",
         *       "prompt": "a photo of a woman with blond hair, smiling",
         *       "preset": "balanced",
         *       "seed": 7
         *     }
         * @example {
         *       "image": "u_01a20cdd1f2e7c3a9d40b1c2d3e4f506",
         *       "mask": "u_01a20cdd1f2e7c3a9d40b1c2d3e4f507",
         *       "prompt": "a photo of a woman with blond hair, smiling"
         *     }
         * @example {
         *       "identity": "c_28e53ba2fe96501a6aa2e4a26de5553c",
         *       "prompt": "a photo of a woman with glasses",
         *       "negative_prompt": "hat",
         *       "output_format": "jpeg",
         *       "output_quality": 90
         *     }
         */
        EditDocument: {
            /**
             * Prompt
             * @description What the picture shall show, in English; an instruction (“make her hair blond”) is refused
             * @example a photo of a woman with blond hair, smiling
             */
            prompt: string;
            /**
             * Source Prompt
             * @description What the photo shows now. Left out: the identity's, else what the service's captioner says of the photo, else “a photo of a <subject>”
             * @default null
             * @example a photo of a woman
             */
            source_prompt?: string | null;
            /**
             * Subject
             * @description The word of both prompts that names the person, or up to four words. Left out: the identity's, else searched for
             * @default null
             * @example woman
             */
            subject?: string | null;
            /**
             * Identity
             * @description A learned identity, from a former edit's `identity`
             * @default null
             */
            identity?: string | null;
            /**
             * Attributes
             * @description Ids of learned attributes, one part each, at most 4: the prompt holds the placeholder of each, as in “a woman with [A] makeup”. They act where the edit may change the photo
             * @default null
             */
            attributes?: string[] | null;
            /**
             * Parent
             * @description A former edit to go on from: its result is the photo, its identity and its mask are used again, and its prompt is the source prompt, each unless given here. `image` is left out
             * @default null
             */
            parent?: string | null;
            /**
             * Preset
             * @description `balanced` (default), `paper` (null-text as published, slow) or `instant` (fewer steps)
             * @default null
             * @example balanced
             */
            preset?: ("paper" | "balanced" | "instant") | null;
            /**
             * Steps
             * @description Denoising steps, 2 to 999. Left out: the preset's
             * @default null
             * @example 50
             */
            steps?: number | null;
            /**
             * Guidance Scale
             * @description How strongly the prompt pulls, 1 to 30. Left out: what model and preset recommend
             * @default null
             * @example 3
             */
            guidance_scale?: number | null;
            /**
             * Negative Prompt
             * @description What the picture shall not show, in plain words and without placeholders. It acts through guidance, so only with a `guidance_scale` above 1
             * @default null
             * @example glasses
             */
            negative_prompt?: string | null;
            /**
             * Strength
             * @description How far back towards noise the edit starts: 1/`steps` or more, so that one step is run; at most 1 (default). Lower values stay nearer to the photo. With `variants` it is 1
             * @default null
             * @example 1
             */
            strength?: number | null;
            /**
             * Output Format
             * @description `png` (default, also for a photo that came as a JPEG: encoding it as one again would change pixels outside the edit mask), `jpeg` or `webp`. The report's `outside_edit_mask` says by how much the file differs there
             * @default null
             * @example webp
             */
            output_format?: ("png" | "jpeg" | "webp") | null;
            /**
             * Output Quality
             * @description Of a JPEG or WebP, 1 to 100; default 95. A WebP of 100 is lossless. Not for PNG
             * @default null
             * @example 95
             */
            output_quality?: number | null;
            /**
             * Keep Alpha
             * @description Whether the result is as transparent as the photo. Left out: yes, where the format can be; a JPEG is laid on white. `false` lays it on white in any format
             * @default null
             */
            keep_alpha?: boolean | null;
            /**
             * Seed
             * @description Same inputs and same seed, same picture. 0 to 2⁶³ − 1; default 0
             * @default null
             * @example 0
             */
            seed?: number | null;
            /**
             * Mask Mode
             * @description How `mask` marks the region: `luminance` (white), `alpha` (what is painted on transparent) or `inverted_alpha` (what is transparent). Left out, `auto`: white or painted; refused where it may mean either. Another mode without a mask is refused too
             * @default null
             * @example auto
             */
            mask_mode?: ("auto" | "luminance" | "alpha" | "inverted_alpha") | null;
            /**
             * Edit Mask Mode
             * @description How `edit_mask` marks it, where it is not as `mask_mode` says; only with an `edit_mask`
             * @default null
             */
            edit_mask_mode?: ("auto" | "luminance" | "alpha" | "inverted_alpha") | null;
            /**
             * Consent
             * @description That the person in the photo agrees to being learned and edited, in your words; kept with the identity
             * @default null
             * @example Ada Example agreed in the app on 24 November 2026
             */
            consent?: string | null;
            /**
             * Identity Ttl S
             * @description Seconds after which the identity that is learned is erased
             * @default null
             * @example 2592000
             */
            identity_ttl_s?: number | null;
            /**
             * Variants
             * @description Pictures, 1 to 8; default 1. The first is the edit itself, the others start from the same inversion with noise that is partly drawn anew, by the seeds that follow
             * @default null
             * @example 3
             */
            variants?: number | null;
            /**
             * Max Pixels
             * @description Scale a photo of more pixels down to so many, 65,536 to 50,000,000; masks follow it. Left out: nothing is scaled, and a photo of more than 50 megapixels is refused
             * @default null
             * @example 12000000
             */
            max_pixels?: number | null;
            /**
             * Deadline S
             * @description Seconds from now after which the edit is no longer wanted; it then fails with `deadline_exceeded`
             * @default null
             * @example 600
             */
            deadline_s?: number | null;
            /**
             * Webhook Url
             * @description https:// address that is told, at least once, when the edit is over; by the Standard Webhooks rules
             * @default null
             * @example https://app.example.com/hooks/s2edit
             */
            webhook_url?: string | null;
            /**
             * Dry Run
             * @description Check everything, say what would be done and how long it may take, and keep nothing
             * @default false
             */
            dry_run?: boolean;
            /**
             * Image
             * @description An upload's id: the photo. Left out where `identity` is given
             * @default null
             */
            image?: string | null;
            /**
             * Mask
             * @description An upload's id: the person's region. Left out: the identity's or the parent's, else the person is found
             * @default null
             */
            mask?: string | null;
            /**
             * At
             * @description The pixel `[x, y]` of the person that is meant, as of the form
             * @default null
             */
            at?: number[] | null;
            /**
             * Edit Mask
             * @description An upload's id: what may change
             * @default null
             */
            edit_mask?: string | null;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: {
        /** @description Of this request, as logs have it */
        "X-Request-Id": string;
        /** @description The limits that hold for the caller; draft-ietf-httpapi-ratelimit-headers */
        "RateLimit-Policy": string;
        /** @description How they stand after this request */
        RateLimit: string;
        /** @description What is missing (RFC 6750) */
        "WWW-Authenticate": string;
        /** @description Seconds until the next try */
        "Retry-After": string;
        /** @description `true` where the key or token is for test mode; absent otherwise */
        "S2Edit-Test": string;
    };
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    listEdits: {
        parameters: {
            query?: {
                /** @description Only those that stand so */
                state?: components["schemas"]["JobState"] | null;
                /** @description Only those that learned or used this identity */
                identity?: string | null;
                /** @description Only edits, or only what was learned or found ahead */
                kind?: ("edit" | "identity" | "attribute" | "mask") | null;
                /** @description How many at most; a page may hold fewer and not be the last */
                limit?: number;
                /** @description The `next_cursor` of the page before. Left out: from the beginning */
                cursor?: string | null;
            };
            header?: {
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    /** @description The next page, `rel=next`, if there is one */
                    Link?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EditPage"];
                };
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    createEdit: {
        parameters: {
            query?: never;
            header?: {
                /** @description Makes it safe to send the request again: the same key with the same form is the same edit */
                "idempotency-key"?: string | null;
                /** @description `wait=N`: hold the answer back for up to N seconds, at most 60, until the edit is over, or, with `If-None-Match`, until it has changed */
                prefer?: string | null;
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": components["schemas"]["EditForm"];
                "application/json": components["schemas"]["EditDocument"];
            };
        };
        responses: {
            /** @description With `dry_run`: what would be done */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DryRun"];
                };
            };
            /** @description Successful Response */
            202: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    /** @description The sequence, quoted */
                    ETag?: string;
                    /** @description Seconds until the next question; absent once the edit is over */
                    "Retry-After"?: number;
                    /** @description What of `Prefer` was heeded */
                    "Preference-Applied"?: string;
                    /** @description Where to follow the edit */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Edit"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request meets another one */
            409: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request is too large */
            413: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request has the wrong content type */
            415: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many edits at once */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getEdit: {
        parameters: {
            query?: never;
            header?: {
                /** @description An `ETag` seen before: 304 while nothing has changed */
                "if-none-match"?: string | null;
                /** @description `wait=N`: hold the answer back for up to N seconds, at most 60, until the edit is over, or, with `If-None-Match`, until it has changed */
                prefer?: string | null;
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path: {
                /** @description The `id` of an edit or of a learning */
                edit_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    /** @description The sequence, quoted */
                    ETag?: string;
                    /** @description Seconds until the next question; absent once the edit is over */
                    "Retry-After"?: number;
                    /** @description What of `Prefer` was heeded */
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Edit"];
                };
            };
            /** @description Nothing has changed */
            304: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    /** @description The sequence, quoted */
                    ETag?: string;
                    /** @description Seconds until the next question; absent once the edit is over */
                    "Retry-After"?: number;
                    /** @description What of `Prefer` was heeded */
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is nothing here */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    eraseEdit: {
        parameters: {
            query?: never;
            header?: {
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path: {
                /** @description The `id` of an edit or of a learning */
                edit_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Receipt"];
                };
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is nothing here */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    cancelEdit: {
        parameters: {
            query?: never;
            header?: {
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path: {
                /** @description The `id` of an edit or of a learning */
                edit_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            202: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    /** @description The sequence, quoted */
                    ETag?: string;
                    /** @description Seconds until the next question; absent once the edit is over */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Edit"];
                };
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is nothing here */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    streamEdit: {
        parameters: {
            query?: never;
            header?: {
                /** @description The last sequence that was seen: the stream goes on behind it */
                "last-event-id"?: string | null;
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path: {
                /** @description The `id` of an edit or of a learning */
                edit_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description `edit`: how it stands, as `GET /edits/{id}` shows it; its id is the sequence. `gap`: events between `after` and `next` can't be replayed any more. The stream ends when the edit is over */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    /** @description `no`: a proxy passes events on at once */
                    "X-Accel-Buffering"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": {
                        /** @enum {unknown} */
                        event?: "edit" | "gap";
                        /** @description The sequence */
                        id?: string;
                        data?: string;
                    } | string;
                };
            };
            /** @description The edit is over and nothing is new: don't reconnect */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is nothing here */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listIdentities: {
        parameters: {
            query?: {
                /** @description How many at most; a page may hold fewer and not be the last */
                limit?: number;
                /** @description The `next_cursor` of the page before. Left out: from the beginning */
                cursor?: string | null;
            };
            header?: {
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    /** @description The next page, `rel=next`, if there is one */
                    Link?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IdentityPage"];
                };
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    createIdentity: {
        parameters: {
            query?: never;
            header?: {
                /** @description Makes it safe to send the request again: the same key with the same form is the same job */
                "Idempotency-Key"?: string | null;
                /** @description `wait=N`: hold the answer back for up to N seconds, at most 60, until the edit is over, or, with `If-None-Match`, until it has changed */
                prefer?: string | null;
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": components["schemas"]["IdentityForm"];
            };
        };
        responses: {
            /** @description Successful Response */
            202: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    /** @description The sequence, quoted */
                    ETag?: string;
                    /** @description Seconds until the next question; absent once the edit is over */
                    "Retry-After"?: number;
                    /** @description What of `Prefer` was heeded */
                    "Preference-Applied"?: string;
                    /** @description Where to follow the edit */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Edit"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request meets another one */
            409: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request is too large */
            413: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request has the wrong content type */
            415: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many edits at once */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    importIdentity: {
        parameters: {
            query?: never;
            header?: {
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": components["schemas"]["ImportForm"];
            };
        };
        responses: {
            /** @description Successful Response */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    /** @description The identity */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Identity"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request meets another one */
            409: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request is too large */
            413: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request has the wrong content type */
            415: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getIdentity: {
        parameters: {
            query?: never;
            header?: {
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path: {
                /** @description The `id` of an identity */
                identity_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Identity"];
                };
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is nothing here */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    eraseIdentity: {
        parameters: {
            query?: never;
            header?: {
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path: {
                /** @description The `id` of an identity */
                identity_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Receipt"];
                };
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is nothing here */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    exportIdentity: {
        parameters: {
            query?: never;
            header?: {
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path: {
                /** @description The `id` of an identity */
                identity_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Export"];
                };
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is nothing here */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listAttributes: {
        parameters: {
            query?: {
                /** @description How many at most; a page may hold fewer and not be the last */
                limit?: number;
                /** @description The `next_cursor` of the page before. Left out: from the beginning */
                cursor?: string | null;
            };
            header?: {
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    /** @description The next page, `rel=next`, if there is one */
                    Link?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AttributePage"];
                };
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    createAttribute: {
        parameters: {
            query?: never;
            header?: {
                /** @description Makes it safe to send the request again: the same key with the same form is the same job */
                "Idempotency-Key"?: string | null;
                /** @description `wait=N`: hold the answer back for up to N seconds, at most 60, until the edit is over, or, with `If-None-Match`, until it has changed */
                prefer?: string | null;
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": components["schemas"]["AttributeForm"];
            };
        };
        responses: {
            /** @description Successful Response */
            202: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    /** @description The sequence, quoted */
                    ETag?: string;
                    /** @description Seconds until the next question; absent once the edit is over */
                    "Retry-After"?: number;
                    /** @description What of `Prefer` was heeded */
                    "Preference-Applied"?: string;
                    /** @description Where to follow the edit */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Edit"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request meets another one */
            409: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request is too large */
            413: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request has the wrong content type */
            415: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many edits at once */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getAttribute: {
        parameters: {
            query?: never;
            header?: {
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path: {
                /** @description The `id` of an attribute */
                attribute_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Attribute"];
                };
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is nothing here */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    eraseAttribute: {
        parameters: {
            query?: never;
            header?: {
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path: {
                /** @description The `id` of an attribute */
                attribute_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Receipt"];
                };
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is nothing here */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    createMask: {
        parameters: {
            query?: never;
            header?: {
                /** @description Makes it safe to send the request again: the same key with the same form is the same job */
                "Idempotency-Key"?: string | null;
                /** @description `wait=N`: hold the answer back for up to N seconds, at most 60, until the edit is over, or, with `If-None-Match`, until it has changed */
                prefer?: string | null;
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": components["schemas"]["MaskForm"];
            };
        };
        responses: {
            /** @description Successful Response */
            202: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    /** @description The sequence, quoted */
                    ETag?: string;
                    /** @description Seconds until the next question; absent once the edit is over */
                    "Retry-After"?: number;
                    /** @description What of `Prefer` was heeded */
                    "Preference-Applied"?: string;
                    /** @description Where to follow the edit */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Edit"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request meets another one */
            409: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request is too large */
            413: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request has the wrong content type */
            415: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many edits at once */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    eraseUser: {
        parameters: {
            query?: never;
            header?: {
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path: {
                /** @description The user, as `S2Edit-User` names them */
                user: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Receipt"];
                };
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request meets another one */
            409: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getReceiptKeys: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KeySet"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    createUpload: {
        parameters: {
            query?: never;
            header?: {
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["UploadRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    /** @description Where to ask for the upload */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UploadView"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request meets another one */
            409: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request is too large */
            413: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getUpload: {
        parameters: {
            query?: never;
            header?: {
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path: {
                /** @description The `id` of an upload */
                upload_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UploadView"];
                };
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is nothing here */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getFile: {
        parameters: {
            query?: {
                /** @description When the URL runs out, in seconds since the epoch; part of the signed URL */
                expires?: string;
                /** @description Part of the signed URL */
                signature?: string;
                /** @description Served as an attachment of this name */
                name?: string | null;
            };
            header?: {
                /**
                 * @description Which part of the file is wanted (RFC 9110)
                 * @example bytes=0-99
                 */
                Range?: string;
            };
            path: {
                /** @description Where the file lies; part of the signed URL */
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The file */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    /** @description `bytes`: parts may be asked for by `Range` */
                    "Accept-Ranges"?: string;
                    /** @description `attachment`, where a name was signed */
                    "Content-Disposition"?: string;
                    /** @description What is opened in a browser can do nothing there */
                    "Content-Security-Policy"?: string;
                    /** @description Of these very bytes */
                    ETag?: string;
                    /** @description When it was kept */
                    "Last-Modified"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "image/png": Blob;
                    "image/jpeg": Blob;
                    "image/webp": Blob;
                    "image/avif": Blob;
                    "image/heic": Blob;
                    "application/octet-stream": Blob;
                    "application/json": unknown;
                };
            };
            /** @description The part that `Range` names */
            206: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    /** @description `bytes`: parts may be asked for by `Range` */
                    "Accept-Ranges"?: string;
                    /** @description `attachment`, where a name was signed */
                    "Content-Disposition"?: string;
                    /** @description What is opened in a browser can do nothing there */
                    "Content-Security-Policy"?: string;
                    /** @description Of these very bytes */
                    ETag?: string;
                    /** @description When it was kept */
                    "Last-Modified"?: string;
                    /** @description Which bytes of how many */
                    "Content-Range"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "image/png": Blob;
                    "image/jpeg": Blob;
                    "image/webp": Blob;
                    "image/avif": Blob;
                    "image/heic": Blob;
                    "application/octet-stream": Blob;
                    "application/json": unknown;
                    "multipart/byteranges": string;
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This link is not valid */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is nothing here */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such part */
            416: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    /** @description Which bytes of how many */
                    "Content-Range"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    putFile: {
        parameters: {
            query?: {
                /** @description When the URL runs out, in seconds since the epoch; part of the signed URL */
                expires?: string;
                /** @description Part of the signed URL */
                signature?: string;
            };
            header: {
                /** @description `*`: only where nothing was sent yet; part of what was signed */
                "If-None-Match": string;
            };
            path: {
                /** @description Where the file lies; part of the signed URL */
                key: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "image/png": Blob;
                "image/jpeg": Blob;
                "image/webp": Blob;
                "image/avif": Blob;
                "image/heic": Blob;
            };
        };
        responses: {
            /** @description It is kept */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This link is not valid */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is nothing here */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description It has been written before */
            412: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request is too large */
            413: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getLiveness: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getReadiness: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    createToken: {
        parameters: {
            query?: never;
            header?: {
                /** @description Whose edits and identities these are. Left out: the device token's user, or `default` */
                "S2Edit-User"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["TokenRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Token"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Who is asking? */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is not allowed */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request is too large */
            413: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This is no name of the service */
            421: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request can't be done as asked */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not available now */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Any other error */
            default: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "S2Edit-Test": components["headers"]["S2Edit-Test"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    onJobOver: {
        parameters: {
            query?: never;
            header: {
                /** @description The same however often it is sent: tell repetitions by it */
                "webhook-id": string;
                /** @description When it was sent, in seconds since the epoch */
                "webhook-timestamp": number;
                /** @description `v1,` and base64 of HMAC-SHA256 over id, timestamp and body; one for each key of the service */
                "webhook-signature": string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["WebhookMessage"];
            };
        };
        responses: {
            /** @description Any 2XX: taken. 410: send no more of this job */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Anything else, or silence for 10 s: tried again, for more than two days */
            default: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
}
