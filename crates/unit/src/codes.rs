//! The table of codes. New ones go to the end; none is ever changed in meaning, removed, or used again.

crate::code::codes! {
    1 NOT_FOUND "it does not exist, as far as this unit knows"
    means "What was asked for is unknown to the unit that was asked. Another unit may know it. Over HTTP: 404."
    causes ["an id with a typing error", "a unit of another network than the one where it was made"]
    remedies ["compare the id with what `pirn spawn` or `pirn log PROCESS` printed", "`pirn status` shows which network answers"]

    2 INVALID "the request is wrong, and will be wrong again"
    means "The unit could not make sense of the request, and nothing was done. Sending it again changes nothing. Over HTTP: 400."
    causes ["a field that is missing or of another form than expected", "a client of another version of the protocol"]
    remedies ["correct what the message names and send it again", "GET /openapi.json of the unit shows what it takes"]

    3 TOO_LARGE "larger than what is accepted"
    means "Every body, page and limit has a bound, which its operator chooses. Over HTTP: 413."
    causes ["large data inside a message", "a limit that the module or the process asks for, beyond the operator's"]
    remedies ["upload large data to the weave and send its id", "`pirn config show` names the bound; an operator raises it in pirn.toml"]

    4 REFUSED "declined, though well-formed"
    means "This operator, or the protocol itself, does not do that. Another operator may. Over HTTP: 422."
    causes ["a bound or a format that this node does not support", "a process that names another scheduler"]
    remedies ["do what the hint says", "ask another unit, or run your own: `pirn node`"]

    5 FORBIDDEN "the signer may not do that"
    means "The signature is good, but the wallet that made it has no right to it. Over HTTP: 403."
    causes ["the wrong wallet"]
    remedies ["sign with the owner's wallet: `--wallet FILE`, `PIRN_WALLET`", "`pirn wallet address FILE` shows whose a wallet is"]

    6 CONFLICT "it is there already"
    means "What was to be made exists. Over HTTP: 409."
    causes ["the request was sent before"]
    remedies ["nothing, if it is what you wanted; otherwise remove or stop the first"]

    7 BUSY "too much at once"
    means "The unit has as much to do as it takes on. Nothing was done. Over HTTP: 429, and Retry-After says when to try again."
    causes ["many messages to one process", "a compute unit that evaluates a long schedule"]
    remedies ["wait as long as Retry-After says, and send again", "spread messages over several processes"]

    8 UNAVAILABLE "it, or what it needs, cannot be reached now"
    means "The unit, or another one that it needs, does not answer. What was accepted before is kept. Over HTTP: 503."
    causes ["a unit that is starting or stopping", "a remote unit that is down"]
    remedies ["try again in a moment", "GET /readyz of the unit says which part is missing"]

    9 INTERNAL "an error of Pirn itself"
    means "Something happened that should not. Nothing that was acknowledged is lost. Over HTTP: 500."
    causes ["a disk that is full or failing", "a defect of Pirn"]
    remedies ["look at the log of the node: `PIRN_LOG=info`", "report it, with the code, the message and the log"]

    10 SIGNATURE "the signature does not fit"
    means "Somebody else signed the item, or its bytes were changed after they were signed. Nothing was accepted."
    causes ["a library that encodes the item again after it signed it", "a wallet of another kind than the item says"]
    remedies ["sign the item again, and send exactly the bytes that were signed"]

    11 NOT_AN_ITEM "the bytes are no data item"
    means "A unit takes one signed ANS-104 data item as it is, in binary."
    causes ["JSON or text instead of the item's bytes", "a body that was cut off"]
    remedies ["send the item's raw bytes with Content-Type: application/octet-stream", "make items with arbundles, aoconnect or `pirn send`"]

    12 NOT_AO "the item is no ao message and no ao process"
    means "An ao item has the tags Data-Protocol: ao and Type: Message or Type: Process; a message has a target."
    causes ["a plain data item sent to a messenger or scheduler", "a message without a target"]
    remedies ["tag it, and set the process's id as its target", "upload plain data to the bundler instead"]

    13 NOT_A_PROCESS "a process that lacks what a process needs"
    means "A Process item names the module that it runs and the scheduler that orders its messages."
    causes ["no Module or Scheduler tag, or one that is no id", "an On-Boot tag that names what is not on the weave"]
    remedies ["tag it Module: ID and Scheduler: ADDRESS; `pirn env` prints this network's SCHEDULER", "`pirn spawn MODULE` does it for you"]

    14 UNKNOWN_PROCESS "the process is not known to this scheduler"
    means "A process exists for a scheduler once its Process item was sent there."
    causes ["an id of another network; `pirn dev` without --state begins empty each time", "the id of a message or module instead of the process's"]
    remedies ["spawn it here: `pirn spawn MODULE`", "keep a development network: `pirn dev --state DIR`"]

    15 NOT_SCHEDULED "no slot of that name in the schedule"
    means "The message or slot has no place in the schedule of that process, or not yet."
    causes ["a slot after the latest one", "a message that was sent to another process"]
    remedies ["`pirn log PROCESS` shows the schedule"]

    16 OTHER_SCHEDULER "the process belongs to another scheduler"
    means "Two schedulers must not order the messages of one process, so each takes its own only."
    causes ["a Scheduler tag from the public network on a development network"]
    remedies ["spawn it with this network's SCHEDULER (`pirn env` prints it)", "on a development network: `pirn dev --scheduler ADDRESS`"]

    17 MODULE_MISSING "the module is not on the weave"
    means "The compute unit looks a module up by its id, and did not find it."
    causes ["a module of the public network on a development network", "a typing error in the Module tag"]
    remedies ["publish it: `pirn module publish FILE`", "under its known id, on a development network: `pirn dev --module FILE=ID`"]

    18 MODULE_UNSUPPORTED "the module cannot be run here"
    means "The module's format, encoding, extension or limits are not among those that this compute unit runs."
    causes ["a Module-Format that no runtime here runs", "a module without Memory-Limit or Compute-Limit"]
    remedies ["try it alone: `pirn module run FILE`", "publish it with its format: `pirn module publish FILE --format FORMAT`"]

    19 UNREACHABLE "no connection to that address"
    means "Nobody accepted the connection to that URL, or it was broken off."
    causes ["nothing runs there", "a wrong URL, or a name that cannot be resolved"]
    remedies ["start a network: `pirn dev`", "say where another one is: `--port N`, `--mu URL`, or `pirn context use NAME`"]

    20 STRANGE_ANSWER "an answer that is not understood"
    means "Something answered at that URL, but not as a unit of ao does."
    causes ["a URL of something else, such as a proxy or a web page", "a unit of another version of the protocol"]
    remedies ["open the URL with curl and look at what is there", "`pirn env` prints the right URLs of a network"]

    21 SCHEDULER_NOWHERE "the scheduler has not said where it is"
    means "A scheduler publishes its URL on the weave as a Scheduler-Location. None was found for that address."
    causes ["a process of another network", "a scheduler that has never run with this gateway"]
    remedies ["check the process's Scheduler tag", "on a development network: `pirn dev --scheduler ADDRESS`"]

    22 BROKEN_SCHEDULE "the schedule does not hold together"
    means "A slot does not continue the ones before it, or its scheduler did not sign it. The process is not evaluated any further."
    causes ["a scheduler that answers with another schedule than before", "a proxy that answers from an old cache"]
    remedies ["ask the scheduler itself, without a proxy", "tell the scheduler's operator: what it signed contradicts itself"]

    23 STOPPING "the unit is stopping"
    means "It takes in nothing new, and finishes what it has. What was acknowledged is on the disk."
    causes ["Ctrl-C, SIGTERM, `pirn stop`"]
    remedies ["send it again when the node is back: the same item gets the same slot"]

    24 STORE "the log on the disk failed"
    means "The node could not write, or not read what it wrote. It accepts nothing more, so that nothing acknowledged is lost."
    causes ["a full disk", "a failing disk, or a state folder that was changed by hand"]
    remedies ["look at the disk and its space, then restart the node", "restore the state folder from a copy if it is damaged"]

    25 NO_ROUTE "there is no such route"
    means "The unit does not have that path, or not with that method."
    causes ["a path of another unit: each has a port of its own", "a typing error in the URL"]
    remedies ["GET /openapi.json lists the routes", "`pirn env` prints the URL of each unit"]

    26 TRANSACTION "the weave does not take the transaction"
    means "Arweave would not take it either: signature, proof, anchor, balance or size is wrong."
    causes ["a wallet without the AR for it", "an anchor that is too old", "data that does not fit its data_root"]
    remedies ["get a new anchor from GET /tx_anchor and sign again", "on a development network: `pirn fund ADDRESS AR`"]

    27 USAGE "the command was not asked for properly"
    means "An argument is missing, unknown, or of another form than expected. Exit status 2."
    causes ["a typing error", "an option of another version"]
    remedies ["`pirn help COMMAND` shows what it takes"]

    28 NO_NETWORK "no network answers"
    means "The command needs an ao network, and nobody answered where it looked."
    causes ["no `pirn dev` is running", "it runs on other ports, or in another context"]
    remedies ["start one: `pirn dev`", "say where it is: `--port N`, `--mu URL`, `--context NAME`"]

    29 PROCESS_FAILED "the process itself failed"
    means "The message was scheduled and evaluated, and the process's own code ended with an error. Its state is as it was before."
    causes ["an error in the Lua that was sent, or in a handler", "more gas or memory than the process may use"]
    remedies ["correct the code and send it again", "`pirn result PROCESS SLOT --json` shows all of the outcome"]

    30 PORT_TAKEN "a port is taken"
    means "Another program listens on a port that the node needs. Nothing was started. Exit status 2."
    causes ["another `pirn dev`", "another program on that port"]
    remedies ["use the one that runs: `pirn status`", "stop it: `pirn stop`", "start on others: `pirn dev --port N`, or `--port 0` for free ones"]

    31 CANNOT_LISTEN "the operating system does not let the node listen"
    means "The address or port is not one that this program may have."
    causes ["an address that this computer does not have", "a port under 1024 without the right to it"]
    remedies ["choose another: `--host ADDRESS`, `--port N`"]

    32 CONFIG "the configuration cannot be used"
    means "A value in pirn.toml, the environment or the flags is wrong, or values contradict one another. Exit status 2."
    causes ["a value of another type", "a role without what it needs"]
    remedies ["`pirn config show` prints every value and where it comes from"]

    33 UNKNOWN_OPTION "an option that does not exist"
    means "pirn.toml or the environment names an option that no part has. It is refused, since a misspelt bound would not hold. Exit status 2."
    causes ["a typing error", "an option of another version"]
    remedies ["take the name that the hint suggests", "`pirn config show` lists every option"]

    34 STATE_IN_USE "another node uses the state folder"
    means "One folder belongs to one running node."
    causes ["a node that still runs with the same --state"]
    remedies ["stop the other one: `pirn stop`", "choose another folder: `--state DIR`"]

    35 WALLET "the wallet cannot be used"
    means "A wallet is a JWK file: RSA, Ed25519 or secp256k1, or the number or name of a test account."
    causes ["a file that is not there, or not readable", "a file that holds something else, or a public key only"]
    remedies ["make one: `pirn wallet new FILE`", "use a test account: `--wallet 0`; `pirn accounts` lists them"]

    36 FILE "a file or folder cannot be read or written"
    means "The operating system refused; the message says why."
    causes ["a path that does not exist", "rights that are missing", "a full disk"]
    remedies ["check the path and its rights with `ls -l`"]

    37 FORMAT_UNKNOWN "the format of a module cannot be told"
    means "Pirn reads a module's format from its imports and exports, and knows the ao formats."
    causes ["a file that is no WebAssembly", "a module for something else than ao"]
    remedies ["say it: `--format FORMAT`", "build it with the ao toolchain"]

    38 NO_TRACE "nothing is known of that message"
    means "A messenger remembers the messages that went through it, and what followed from them."
    causes ["a message that went through another messenger", "an id of another network"]
    remedies ["`pirn log PROCESS` shows what was scheduled", "say where the messenger is: `--mu URL`"]

    39 DOES_NOT_START "a part of the node does not start"
    means "A unit could not be opened; the message says which and why. Nothing was begun."
    causes ["a state folder of another version, or damaged", "a remote part that does not answer"]
    remedies ["correct what the message names, then start again", "begin with an empty folder: `--state DIR`"]

    40 NOT_OURS "that is no development network that may be stopped from here"
    means "`pirn stop` ends a `pirn dev` on this computer and nothing else: not a public node, and not another program."
    causes ["a `pirn node`, or another program, has the port"]
    remedies ["end it as it was started: with its service manager, or Ctrl-C", "`pirn status` shows what answers"]

    41 CONTEXT "the context cannot be used"
    means "A context is a named set of URLs and addresses in your own configuration folder."
    causes ["a name that was never added", "a file that was changed by hand"]
    remedies ["`pirn context ls` lists them", "`pirn context add NAME --mu URL …` makes one"]

    42 UNKNOWN_CODE "that is no code of this version"
    means "Codes are P and four digits. A newer Pirn may know more of them."
    causes ["a typing error", "a code of a newer version"]
    remedies ["`pirn explain` lists them all"]

    43 NOT_FROM_HERE "the controls of a development network are not for whoever asked"
    means "What moves its clock, makes blocks or puts it back is for programs and web pages of this computer. Nothing was done. Over HTTP: 403."
    causes ["a web page from elsewhere that sends requests to this computer", "a name in the URL that is not this computer's"]
    remedies ["call 127.0.0.1 or localhost", "allow a page: `dev.origins = [\"https://app.example\"]` in pirn.toml; a name: `dev.hosts`"]

    44 TESTS_FAILED "tests do not hold"
    means "`pirn test` ran, and not every test passed. What was expected, what there was, and the messages of each are above."
    causes ["a defect of the process that is tested, or of the test"]
    remedies ["run the one test again: `pirn test FILE --filter NAME --seed N`, as the report says it"]

    45 NOT_AS_SIGNED "something is not what was signed"
    means "What a gateway, or a file, gives under an id does not carry the signature of that id: somebody changed it on the way, or cannot tell it exactly."
    causes ["a gateway that tells items or anchors otherwise than they were signed", "a file that was changed"]
    remedies ["ask another gateway: `--gateway URL`", "if the gateway is your own and you believe it, `verify = false` in its options"]

    46 DOES_NOT_HOLD "the process does not hold"
    means "`pirn verify` followed the log and found something that is not as it must be: a signature, a slot, the hash chain, a message that is gone, or an outcome that does not come of it."
    causes ["a scheduler, gateway or compute unit that does not say the truth", "a log that was damaged"]
    remedies ["see it whole: `pirn verify PROCESS --json`", "ask another gateway or compute unit: `--gateway URL`, `--cu URL`"]

    47 NO_ATTESTATIONS "that compute unit does not attest"
    means "It gives outcomes but signs nothing about them: units of the legacy network do not. Over HTTP: 503."
    causes ["a compute unit that is not Pirn, or an older one"]
    remedies ["ask another compute unit: `--cu URL`", "evaluate it yourself: `pirn verify PROCESS`"]

    48 NOT_EVALUATED "there is no such evaluation here"
    means "A compute unit attests what it has evaluated. A cron after the newest slot is attested once the next slot is there, because the schedule may still say that it never was. Over HTTP: 404."
    causes ["a number beyond the end of the history", "a message that is not evaluated yet"]
    remedies ["ask for the result first: `pirn result PROCESS MESSAGE`", "`pirn attest PROCESS` shows how long the history is"]

    49 NOT_ATTESTED "the attestation does not hold"
    means "It is not signed, does not say what it should, or does not prove its place in the history. Nothing that it says is to be believed."
    causes ["a compute unit that does not say the truth", "a file that was changed"]
    remedies ["ask another compute unit: `--cu URL`", "keep the answer: two signed statements that differ prove a lie"]

    50 NO_RETRY "that dead letter cannot be tried again"
    means "What a process asked for never became a message: it could not be signed, or was beyond a bound. Its reason says why. Over HTTP: 422."
    causes ["an element of an outbox that is malformed or too large", "a dead letter of an older version"]
    remedies ["correct the process, and have it send again", "see the reason: `pirn outbox --dead`"]

    51 HELD "the process is held until its scheduler's operator confirms its tail"
    means "The scheduler may have forgotten slots that others saw, so it schedules nothing for the process: no slot ever gets two signatures. It answers reads, and takes in slots that it is shown. Over HTTP: 503."
    causes ["the scheduler lost its disk, or was restored from a backup", "somebody showed it a slot that it did not have"]
    remedies ["wait for the operator, and send it again: the same item gets one slot", "operators: `pirn recover` shows what is held; `pirn recover confirm PROCESS` lets it go on"]

    52 CONTRADICTION "two assignments of one scheduler contradict each other"
    means "Both are signed by the same scheduler, and a schedule can only have one of them. The one that was shown is kept as evidence, and nothing more is scheduled for the process. Over HTTP: 409."
    causes ["two nodes that ran with one scheduler's key", "a tail that was confirmed though more had been visible"]
    remedies ["run one node for each key", "operators: `pirn recover confirm PROCESS --new-epoch` goes on after the tail that is known here"]

    53 NOT_THE_TAIL "what is known of the schedule is not what the order says"
    means "An operator's word is good for one hold and one tail. Nothing was changed. Over HTTP: 409."
    causes ["slots that were shown since, or are missing before one that was shown", "an order for an earlier hold, or for a process that is not held"]
    remedies ["look again: `pirn recover PROCESS`", "show what is missing: `pirn recover adopt FILE`; or give it up: `pirn recover confirm PROCESS --new-epoch`"]

    54 CHECKPOINT "the checkpoint is not used, or not published"
    means "A checkpoint on the weave does not hold: its signature, its digest, its module, or what it says of the schedule; another is tried, or the process is evaluated from its beginning. Or the memory of a process cannot be published."
    causes ["an upload that was damaged, or somebody trusted who does not say the truth", "a process that has evaluated nothing, or whose module cannot start", "a compute unit that publishes none on demand"]
    remedies ["nothing, if the log of the node says it: outcomes are right all the same", "trust somebody else: `cu.checkpoints.trusted_owners` in pirn.toml", "do what the hint says"]
}
