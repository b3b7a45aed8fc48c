"""One round of `cargo xtask bench python`: a case under a recorder, beside the same case bare.

    main.py JOB

JOB is a JSON object: `case`, `loop` and `recorder` are names in `cases.py`, `loops.py` and `recorders.py`;
`pairs` and `millis` say how many batches are compared and how long a bare one is; `endpoint` and `app` are
for loopd. The answer is a JSON object in the last line of standard output.
"""

import json
import sys

import twins

job = json.loads(sys.argv[1])
print(json.dumps(twins.compare(job)))
