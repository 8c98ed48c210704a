/// From the bytes that an editor sends to messages that may be answered; what is none of the protocol's is answered with its errors here.
/// Framing as in the Language Server Protocol 3.17, errors as in JSON-RPC 2.0.
namespace Tva.Lsp

open System
open System.IO
open System.IO.Pipelines
open System.Text
open System.Text.Json
open StreamJsonRpc
open StreamJsonRpc.Protocol
open Tva.Core

/// What the editor may ask for now.
type private Stage =
    | Before
    | Serving
    | After

module Transport =

    [<Literal>]
    let private InvalidRequest = -32600

    [<Literal>]
    let private InvalidParams = -32602

    [<Literal>]
    let private InternalError = -32603

    [<Literal>]
    let private ParseError = -32700

    [<Literal>]
    let private NotInitialized = -32002

    /// More than any text that a person edits.
    [<Literal>]
    let private MostBytes = 268435456

    let private strict = UTF8Encoding(false, true)

    let private beyondRepair what : exn = FaultException $"lsp: {what}; each message is `Content-Length: BYTES`, an empty line, and so many bytes of JSON"

    /// A header's length; None at the end of the input between messages.
    let private header (input: Stream) : int option =
        let line = StringBuilder()
        let mutable length = None
        let mutable first = true
        let mutable result = ValueNone
        while result.IsNone do
            match input.ReadByte() with
            | -1 when first && line.Length = 0 -> result <- ValueSome None
            | -1 -> raise (beyondRepair "the input ends within a header")
            | 10 ->
                match line.ToString().TrimEnd '\r' with
                | "" ->
                    match length with
                    | Some n -> result <- ValueSome(Some n)
                    | None -> raise (beyondRepair "a header has no Content-Length")
                | text ->
                    first <- false
                    match text.IndexOf ':' with
                    | -1 -> raise (beyondRepair $"`{text.Substring(0, min 40 text.Length)}` is no line of a header")
                    | colon when text.Substring(0, colon).Trim().Equals("Content-Length", StringComparison.OrdinalIgnoreCase) ->
                        match Int32.TryParse(text.Substring(colon + 1).Trim()) with
                        | true, n when n >= 0 && n <= MostBytes -> length <- Some n
                        | _ -> raise (beyondRepair $"`{text}` is no length of a message")
                    // Content-Type, or what a later version adds.
                    | _ -> ()
                line.Clear() |> ignore
            | _ when line.Length > 4096 -> raise (beyondRepair "a header has no end")
            | b -> line.Append(char b) |> ignore
        result.Value

    let private idOf (message: JsonElement) =
        match message.TryGetProperty "id" with
        | true, id when id.ValueKind = JsonValueKind.String -> RequestId(id.GetString())
        | true, id when id.ValueKind = JsonValueKind.Number ->
            match id.TryGetInt64() with
            | true, n -> RequestId n
            | _ -> RequestId.Null
        | _ -> RequestId.Null

    /// Hands on what may be answered, one message after another, until the input ends; answers the rest by `refuse`.
    let private pump (input: Stream) (forward: byte[] -> unit) (refuse: RequestId -> int -> string -> unit) =
        let mutable stage = Before
        let judge (bytes: byte[]) =
            // The parser looks at the bytes of a text only when that is asked for.
            strict.GetCharCount bytes |> ignore
            use document = JsonDocument.Parse(ReadOnlyMemory bytes)
            let message = document.RootElement
            let has (name: string) = match message.TryGetProperty name with | true, _ -> true | _ -> false
            if message.ValueKind <> JsonValueKind.Object then
                refuse RequestId.Null InvalidRequest "a message is an object; there are no batches"
            else
                match message.TryGetProperty "method" with
                | true, name when name.ValueKind = JsonValueKind.String ->
                    let name = name.GetString()
                    match stage with
                    // It is heard at any time.
                    | _ when name = "exit" -> forward bytes
                    | Before when name <> "initialize" -> if has "id" then refuse (idOf message) NotInitialized "the first request is `initialize`"
                    | After -> if has "id" then refuse (idOf message) InvalidRequest "after `shutdown` there is only `exit`"
                    | _ ->
                        stage <- if name = "initialize" then Serving elif name = "shutdown" then After else stage
                        forward bytes
                // Answers, of which none is asked for.
                | _ when has "result" || has "error" -> ()
                | _ -> refuse (idOf message) InvalidRequest "a message has a `method`"
        let rec go () =
            match header input with
            | None -> ()
            | Some length ->
                let bytes = Array.zeroCreate<byte> length
                try
                    input.ReadExactly(bytes, 0, length)
                with :? EndOfStreamException ->
                    raise (beyondRepair $"the input ends within a message of {length} bytes")
                try
                    judge bytes
                with
                | :? JsonException as e -> refuse RequestId.Null ParseError $"a message is no JSON: {e.Message}"
                | :? DecoderFallbackException as e -> refuse RequestId.Null ParseError $"a message is no UTF-8: {e.Message}"
                go ()
        go ()

    /// Tells mistakes of the editor's from ours, and no more of either than what is wrong.
    type Rpc(handler: IJsonRpcMessageHandler) =
        inherit JsonRpc(handler)
        override _.CreateErrorDetails(request: JsonRpcRequest, e: exn) =
            let rec cause (e: exn) =
                match e with
                | :? AggregateException as a when a.InnerExceptions.Count = 1 -> cause a.InnerExceptions[0]
                | :? Reflection.TargetInvocationException as t when not (isNull t.InnerException) -> cause (Unchecked.nonNull t.InnerException)
                | e -> e
            let code, message =
                match cause e with
                // What reading a JSON value says of one that is missing or of another kind.
                | :? Collections.Generic.KeyNotFoundException
                | :? FormatException
                | :? ArgumentException
                | :? InvalidOperationException as e -> InvalidParams, $"these are no parameters of {request.Method}: {e.Message}"
                | e -> InternalError, e.Message
            JsonRpcError.ErrorDetail(Code = enum<JsonRpcErrorCode> code, Message = message)

    /// Serves the messages of a stream by `start`, which gives what it listens with; ends where the input does. A frame beyond repair is a fault.
    let serve (input: Stream) (output: Stream) (start: JsonRpc -> unit) (ended: exn option -> unit) : JsonRpc =
        let pipe = Pipe()
        let formatter = new SystemTextJsonFormatter()
        let messages = new HeaderDelimitedMessageHandler(output, pipe.Reader.AsStream(), formatter)
        let rpc = new Rpc(messages)
        let forward (bytes: byte[]) =
            let writer = pipe.Writer.AsStream(leaveOpen = true)
            writer.Write(Encoding.ASCII.GetBytes $"Content-Length: {bytes.Length}\r\n\r\n")
            writer.Write(bytes, 0, bytes.Length)
            writer.Flush()
        let refuse (id: RequestId) (code: int) (message: string) =
            let error = JsonRpcError(RequestId = id, Error = JsonRpcError.ErrorDetail(Code = enum<JsonRpcErrorCode> code, Message = message))
            messages.WriteAsync(error, Threading.CancellationToken.None).AsTask().Wait()
        let body () =
            let failure =
                try
                    pump (new BufferedStream(input)) forward refuse
                    None
                with e -> Some e
            // Why first: the end is seen at once.
            ended failure
            pipe.Writer.Complete()
        start rpc
        Threading.Thread(body, IsBackground = true).Start()
        rpc
