export default function Old({ id }) {
  return <p>{`user:${id}`}</p>;
}

export async function getServerSideProps({ req }) {
  if (req.user === undefined) return { redirect: { destination: '/sign-in', permanent: false } };
  return { props: { id: req.user.id } };
}
