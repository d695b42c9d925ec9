//! What the role of an agent's token admits it to, method by method.

use cxo_protocol::methods::{Access, METHODS};
use cxo_protocol::wire::Key;
use cxo_protocol::wire::handshake::Credential;
use serde_json::{Value, json};

use crate::signed::Signed;
use crate::world::World;

const ROLES: [&str; 5] = ["root", "worker", "reviewer", "plan-architect", "doc-mirror-manager"];

/// The roles of agents that a kind of access is for, written down a second time.
fn roles_of(access: Access) -> &'static [&'static str] {
    match access {
        Access::Anyone | Access::Own | Access::Tree => &ROLES,
        Access::Root => &["root"],
        Access::Work => &["root", "worker"],
        Access::Plan => &["root", "plan-architect"],
        Access::Mirror => &["root", "doc-mirror-manager"],
        Access::User => &[],
    }
}

/// Registers an agent with a role, and enters as it.
fn enter_as(world: &World, name: &str, role: &str) -> Signed {
    let params = json!({"agent_id": name, "agent_type": "codex", "role": role});
    let answer = world.client().call_by_name("agent.register", &params, None).unwrap();
    let token = Key::from_hex(answer["token"].as_str().unwrap()).unwrap();
    let token = Credential::Token(token);
    Signed::enter_as(world.raw(), &format!("agent:{name}"), token).unwrap()
}

fn ask(agent: &mut Signed, method: &str, params: &Value) -> Value {
    agent.ask(json!({"id": 1, "method": method, "params": params}).to_string().as_bytes())
}

/// [B1.4] Every method, asked for by an agent of every role: who is admitted hears what is wrong with
/// the parameters, and who is not hears that the method is not for that role, whatever they are.
#[test]
fn every_method_is_for_the_roles_of_its_row_only() {
    let mut world = World::new("");
    world.start();
    let wrong = json!({"no method takes this": true});
    for role in ROLES {
        let mut agent = enter_as(&world, &format!("agent-{role}"), role);
        for row in METHODS {
            let answer = ask(&mut agent, row.name, &wrong);
            let code = &answer["error"]["code"];
            if roles_of(row.access).contains(&role) {
                assert_eq!(*code, -32602, "{role}: {}: {answer}", row.name);
            } else {
                assert_eq!(*code, 403, "{role}: {}: {answer}", row.name);
                let why = answer["error"]["data"]["why"][0].as_str().unwrap();
                assert!(why.contains(role) && why.contains(row.name), "{why}");
            }
        }
    }
}

/// [B1.4] A role comes with a token: no request gives one, the user sees it, and an agent that is
/// registered with another role is no more what it was.
#[test]
fn a_role_comes_with_the_token_and_goes_with_it() {
    let mut world = World::new("");
    world.start();
    let mut agent = enter_as(&world, "one", "worker");
    let myself = json!({"agent_id": "one", "agent_type": "codex", "role": "root"});
    assert_eq!(ask(&mut agent, "agent.register", &myself)["error"]["code"], 403);
    let odd = json!({"agent_id": "two", "agent_type": "codex", "role": "admin"});
    let refused = world.client().call_by_name("agent.register", &odd, None).unwrap_err();
    assert!(refused.to_string().contains("admin"), "{refused}");

    let role = |world: &World| {
        let agents = world.client().call_by_name("agent.list", &json!({}), None).unwrap();
        assert_eq!(agents["agents"].as_array().unwrap().len(), 1, "{agents}");
        agents["agents"][0]["role"].clone()
    };
    assert_eq!(role(&world), "worker");
    let mut now = enter_as(&world, "one", "session-root");
    assert_eq!(role(&world), "root");
    assert_eq!(ask(&mut agent, "status.get", &json!({}))["error"]["code"], 401);
    assert_eq!(ask(&mut now, "status.get", &json!({}))["error"], Value::Null);
}
