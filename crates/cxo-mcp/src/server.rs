//! The requests of the protocol, answered from the method table.

use cxo_protocol::{Code, Problem};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, GetPromptRequestParams, GetPromptResponse,
    Implementation, JsonObject, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ReadResourceResult, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Value, json};

use crate::tools::{self, Admitted};
use crate::{Calls, outcome, prompts, resources};

/// What an agent is told of the server before anything else.
const INSTRUCTIONS: &str = "Codex Orchestrator: several coding agents work on this repository at once. \
    Start a run for a goal, follow it, and lock what is edited together with others. An error says why, what \
    was kept, and what to do next. Everything that has no tool of its own is reached by orchestrator_call; \
    the resource cxo://methods says how.";

/// The server for one caller.
#[derive(Debug, Clone)]
pub(crate) struct Server<C>(pub(crate) C);

impl<C: Calls> Server<C> {
    async fn admitted(&self) -> Result<Admitted, Problem> {
        Ok(Admitted::of(&self.0.call("caller.get", json!({})).await?))
    }

    async fn tool(&self, name: &str, arguments: JsonObject) -> Result<Value, Problem> {
        if name == tools::CALL {
            let (method, params) = named(arguments)?;
            return self.0.call(&method, params).await;
        }
        let method = tools::method_of(name).ok_or_else(|| no_such_tool(name))?;
        self.0.call(method, Value::Object(arguments)).await
    }
}

/// The method and parameters that `orchestrator_call` was given.
fn named(mut arguments: JsonObject) -> Result<(String, Value), Problem> {
    let bad = |why: String| {
        Problem::new(Code::BadRequest, "the call is not understood")
            .because(why)
            .keeping("nothing was changed")
            .try_next("orchestrator_call {\"method\": \"status.get\", \"params\": {}}")
    };
    let Some(Value::String(method)) = arguments.remove("method") else {
        return Err(bad("`method` is the name of a method".to_owned()));
    };
    let params = arguments.remove("params").unwrap_or_else(|| json!({}));
    if !params.is_object() {
        return Err(bad("`params` is an object".to_owned()));
    }
    match arguments.keys().next() {
        None => Ok((method, params)),
        Some(name) => {
            Err(bad(format!("`{}` is none of `method` and `params`", name.escape_debug())))
        }
    }
}

fn no_such_tool(name: &str) -> Problem {
    let shown: String = name.chars().take(80).flat_map(char::escape_debug).collect();
    Problem::new(Code::NoSuchMethod, format!("there is no tool {shown}"))
        .keeping("nothing was changed")
        .try_next("list the tools, or use orchestrator_call")
}

impl<C: Calls> ServerHandler for Server<C> {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_prompts()
            .build();
        let name = Implementation::new("codex-orchestrator", env!("CARGO_PKG_VERSION"));
        ServerConfig::new(capabilities).with_server_info(name).with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let admitted = self.admitted().await.map_err(outcome::of_request)?;
        Ok(ListToolsResult::with_all_items(tools::offered(&admitted)))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let result = self.tool(&request.name, request.arguments.unwrap_or_default()).await;
        Ok(outcome::of_tool(result).into())
    }

    async fn list_resources(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let all = async { resources::all(&self.0, &self.admitted().await?).await };
        all.await.map(ListResourcesResult::with_all_items).map_err(outcome::of_request)
    }

    async fn list_resource_templates(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let admitted = self.admitted().await.map_err(outcome::of_request)?;
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates(&admitted)))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let read = async { resources::read(&self.0, &self.admitted().await?, &request.uri).await };
        let contents = read.await.map_err(outcome::of_request)?;
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn list_prompts(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let admitted = self.admitted().await.map_err(outcome::of_request)?;
        Ok(ListPromptsResult::with_all_items(prompts::offered(&admitted)))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        prompts::filled(&request.name, request.arguments.as_ref()).map(Into::into)
    }
}
